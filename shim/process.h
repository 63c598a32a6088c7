/* Fork handlers. */
#pragma once

/* Registers them; in the constructor. */
void process_init(void);
