/* What connect.c knows of listeners: a connection to a port of the program's own is never kept. */
#pragma once

/* When the library begins: the ports of those that listen already. */
void connect_note_listeners(void);
