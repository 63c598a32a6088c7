/* holdline status: asks the broker what it holds. */
int command_status(int argc, char **argv);
int command_status(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return 0;
}
