/* The table of commands. See commands.h. */
#include "tools/commands.h"

const struct command commands[] = {
	{"run", command_run, "run a program with its TCP connections kept and reused"},
	{"check", command_check, "say whether Holdline can work for a program, and why not"},
	{"metrics", command_metrics, "counts and ports for Prometheus"},
	{"report", command_report, "show what 'run --report=FILE.json' has written, as tables or HTML"},
	{"status", command_status, "list the connections that are kept for this user's programs"},
	{"broker", command_broker, "keep them, in the foreground, for a service manager"},
	{"doctor", command_doctor, "say who uses up the ports for outgoing connections, how soon, and what helps"},
	{"top", command_top, "show what uses the ports for outgoing connections, live"},
	{"env", command_env, "print the variables by which another launcher preloads the library"},
	{"enable", command_enable, "start a service of systemd with Holdline, from its next start on"},
	{"disable", command_disable, "... and without it again"},
	{"enabled", command_enabled, "list these services, and whether they run with it"},
	{"demo", command_demo, "show what it does, with real programs on this machine"},
	{"bench", command_bench, "time short, held and long connections, to a server of its own or yours"},
	{"bench-client", command_bench_client, NULL},
	{"options", command_options, NULL},
	{"complete", command_complete, NULL},
	{"relay", command_relay, NULL},
	{"version", command_version, "print the version; --verbose: how it was built, what this machine offers"},
	{"bugreport", command_bugreport, "print what helps to find a fault, without secrets"},
};

const size_t n_commands = sizeof(commands) / sizeof(commands[0]);
