# Holdline. Two commands are enough to begin with: `make demo`, then `make check`.
CC ?= cc
BUILD ?= build
WARN = -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes $(WERROR)
CFLAGS ?= -O2 -g
HL_CFLAGS = -std=gnu11 -D_GNU_SOURCE $(WARN) -fPIC -fvisibility=hidden -I. -isystem /usr/share/include $(CFLAGS)
# Nothing of the host may be needed lazily in a signal handler or after fork: bind everything at load.
SHIM_LDFLAGS = -shared -Wl,-z,now -Wl,-z,relro -Wl,-z,nodelete -Wl,--version-script=shim/holdline.map -Wl,-soname,libholdline.so

LLHTTP_SRC = $(wildcard /usr/share/llhttp/*.c)
POOL_OBJ = $(patsubst %.c,$(BUILD)/%.o,$(wildcard pool/*.c)) $(patsubst /usr/share/llhttp/%.c,$(BUILD)/llhttp/%.o,$(LLHTTP_SRC))
SHIM_OBJ = $(patsubst %.c,$(BUILD)/%.o,$(wildcard shim/*.c))
TOOL_OBJ = $(patsubst %.c,$(BUILD)/%.o,$(wildcard tools/*.c))

all: $(BUILD)/libholdline.so $(BUILD)/holdline

$(BUILD)/libholdline.so: $(SHIM_OBJ) $(BUILD)/libpool.a shim/holdline.map
	$(CC) $(HL_CFLAGS) $(SHIM_LDFLAGS) $(LDFLAGS) -o $@ $(SHIM_OBJ) $(BUILD)/libpool.a -ldl

$(BUILD)/holdline: $(TOOL_OBJ) $(BUILD)/libpool.a
	$(CC) $(HL_CFLAGS) $(LDFLAGS) -o $@ $(TOOL_OBJ) $(BUILD)/libpool.a

$(BUILD)/libpool.a: $(POOL_OBJ)
	rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(HL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/llhttp/%.o: /usr/share/llhttp/%.c
	@mkdir -p $(@D)
	$(CC) $(HL_CFLAGS) -w -I/usr/share/include/llhttp -c -o $@ $<

clean:
	rm -rf $(BUILD)

-include $(POOL_OBJ:.o=.d) $(SHIM_OBJ:.o=.d) $(TOOL_OBJ:.o=.d)
.PHONY: all clean
