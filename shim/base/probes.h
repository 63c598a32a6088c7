/*
 * Static probes for bpftrace, perf and systemtap (USDT, sys/sdt.h): a no-op each, and a note in the file, until
 * somebody attaches. Ports are in the host's order, times in ns.
 *
 * holdline:dial       fd, port, ns      a new connection came to be holdline:dial_fail  fd, port, errno holdline:reuse
 * fd, port          a kept connection was given out holdline:refuse     fd, port, reason  a connection is not kept, or
 * was not used: enum refusal of pool/conn/refusal.h holdline:return     fd, port          the program's connection was
 * put away for later holdline:close      fd, port          the program closed its socket
 */
#pragma once

#include <sys/sdt.h>

#define PROBE_DIAL(fd, port, duration_ns) DTRACE_PROBE3(holdline, dial, fd, port, duration_ns)
#define PROBE_DIAL_FAIL(fd, port, error) DTRACE_PROBE3(holdline, dial_fail, fd, port, error)
#define PROBE_REUSE(fd, port) DTRACE_PROBE2(holdline, reuse, fd, port)
#define PROBE_REFUSE(fd, port, reason) DTRACE_PROBE3(holdline, refuse, fd, port, reason)
#define PROBE_RETURN(fd, port) DTRACE_PROBE2(holdline, return, fd, port)
#define PROBE_CLOSE(fd, port) DTRACE_PROBE2(holdline, close, fd, port)
