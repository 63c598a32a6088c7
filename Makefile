# Holdline. Two commands are enough to begin with: `make demo`, then `make check`.
ifdef MUSL
# The library alone, for programs of musl: on Alpine, or with musl-gcc (musl-tools) where the compiler is glibc's.
CC = $(if $(findstring musl,$(shell cc -dumpmachine)),cc,musl-gcc)
BUILD ?= build/musl
endif
CC ?= cc
BUILD ?= build
PREFIX ?= /usr/local
# Where the C sources of llhttp are, as Debian's node-llhttp has them: llhttp/*.c and include/llhttp/llhttp.h.
LLHTTP ?= /usr/share
FUZZ_SECONDS ?= 60
# 0: a new one each time. A check of a change takes always the same, so that it is judged by what it changed.
FUZZ_SEED ?= 0
MULTIARCH := $(shell $(CC) -print-multiarch 2>/dev/null)
# musl-gcc has its libraries beside those of glibc; on Alpine there are no others.
MUSLARCH = $(if $(filter musl-gcc,$(CC)),$(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))-linux-musl)
LIBDIR = $(PREFIX)/lib$(addprefix /,$(if $(MUSL),$(MUSLARCH),$(MULTIARCH)))

# Where systemd looks for users' units and for the system's (systemd.unit(5)).
UNITDIR = $(PREFIX)/lib/systemd/user
SYSTEMUNITDIR = $(PREFIX)/lib/systemd/system
MANDIR = $(PREFIX)/share/man
BASHDIR = $(PREFIX)/share/bash-completion/completions
FISHDIR = $(PREFIX)/share/fish/vendor_completions.d
# Debian's zsh looks into one folder for packages, and into another for what was installed by hand.
ZSHDIR = $(PREFIX)/share/zsh/$(if $(filter /usr,$(PREFIX)),vendor-completions,site-functions)
MANUAL = $(notdir $(wildcard tools/man/*.[1-9]))

WARN = -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes $(WERROR)
# -O2: a new process runs most of its code once, and less of it is quicker (-O3: a first exchange took 176 us, not 164).
CFLAGS ?= -O2 -g
# Its functions are small, in files by family; compiled as one they take a tenth fewer instructions. Only the shim is
# linked so.
LTO ?= $(if $(findstring gcc version,$(shell $(CC) -v 2>&1)),-flto=auto -flto-partition=one -ffat-lto-objects)
# The command is hardened, with the broker in it, and its pool/ for itself. Not so the shim: it would then call the very
# _chk functions that it interposes.
HARDEN = -fstack-protector-strong -fstack-clash-protection -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
HARDEN_LDFLAGS = -pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code
HL_CFLAGS = -std=gnu11 -D_GNU_SOURCE $(WARN) -fPIC -fvisibility=hidden -fasynchronous-unwind-tables -I. -isystem $(LLHTTP)/include \
	-DHOLDLINE_MULTIARCH='"$(MULTIARCH)"' $(CFLAGS)
# Lazy binding could happen in a signal handler or after fork: bind everything at load.
# noseparate-code: two mappings less in each process, a third of what it costs to load the library.
SHIM_LDFLAGS = -shared -Wl,-z,noseparate-code -Wl,-z,now -Wl,-z,relro -Wl,-z,noexecstack -Wl,-z,nodelete -Wl,-Bsymbolic -Wl,--version-script=$(EXPORTS) -Wl,-soname,libholdline.so

EXPORTS = $(if $(MUSL),$(BUILD)/exports.map,shim/wrap/exports.map)
# Empty: without HTTPS, for machines without the headers of OpenSSL 3 and GnuTLS 3.7.
TLS ?= $(if $(MUSL),,yes)

# The shim needs libc alone; the command may need more, and loads by itself what it seldom needs (tools/base/library.h).
TOOL_LIBS = -lcjson -lmnl -lseccomp -lm -ldl -lpthread

objects = $(patsubst %.c,$(BUILD)/%.o,$(shell find $(1) -name '*.c' | sort))
LLHTTP_SRC := $(wildcard $(LLHTTP)/llhttp/*.c)
POOL_OBJ := $(call objects,pool) $(patsubst $(LLHTTP)/llhttp/%.c,$(BUILD)/llhttp/%.o,$(LLHTTP_SRC))
TOOL_POOL_OBJ := $(patsubst $(BUILD)/%,$(BUILD)/hardened/%,$(POOL_OBJ))
SHIM_OBJ := $(filter-out $(if $(TLS),,$(BUILD)/shim/tls/%),$(call objects,shim))
TOOL_OBJ := $(call objects,tools)
NO_UNIT := $(if $(TLS),,tests/unit/pool/tls/test_tls_bundle.c)
UNIT_SRC := $(filter-out $(NO_UNIT),$(shell find tests/unit -name 'test_*.c' | sort))
UNIT_OBJ := $(filter-out $(NO_UNIT:%.c=$(BUILD)/%.o),$(call objects,tests/unit))
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))

# A recipe that installs packages continues in a second make: new packages change the values above.
# It uses every processor, unless the first was told how many.
AGAIN = $(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))

.DEFAULT_GOAL = all
help:
	@echo 'make demo      install what is missing, build, and show what Holdline does (ten seconds)'
	@echo 'make check     install what is missing, build, and run every test (ten minutes on two processors)'
	@echo 'make           build $(BUILD)/libholdline.so and $(BUILD)/holdline; "make deps" installs what that needs'
	@echo 'make install   into PREFIX ($(PREFIX)), honours DESTDIR; make uninstall takes it away'
	@echo 'make MUSL=1    $(BUILD)/musl/libholdline.so, for programs of musl; needs musl-gcc (musl-tools) or Alpine'
	@echo 'make deb | rpm  packages of what is committed, in $(BUILD)/deb or $(BUILD)/rpm'
	@echo 'make container  the tree for images, in $(BUILD)/container: see tools/packaging/container/Dockerfile'
	@echo 'make release   the tarball and its checksum, in $(BUILD)/release; make distcheck uses it in a new system'
	@echo 'make torture | bench | lint | format | asan | tsan | fuzz | clean      for developers'

all: $(BUILD)/libholdline.so $(if $(MUSL),,$(BUILD)/holdline)

deps:
	@tools/install-deps build

demo:
	@tools/install-deps demo
	@echo 'building (about a minute on two processors)'
	@$(AGAIN) -s all
	@$(BUILD)/holdline demo

check:
	@tools/install-deps check
	@$(AGAIN) all $(BUILD)/unit-tests
	@BUILD=$(abspath $(BUILD)) tests/run

torture:
	@tools/install-deps torture
	@$(AGAIN) all $(BUILD)/unit-tests
	@BUILD=$(abspath $(BUILD)) TORTURE=1 tests/run

bench:
	@tools/install-deps check
	@$(AGAIN) all
	@BUILD=$(abspath $(BUILD)) tests/bench/run

lint:
	@tools/install-deps lint
	@$(AGAIN) all
	@BUILD=$(abspath $(BUILD)) MAKE="$(AGAIN)" tests/lint

format:
	clang-format -i $(shell find pool shim tools tests -name '*.[ch]')

# CHECKED: the library traps where its own rules are broken.
CHECKED = -DHOLDLINE_CHECKED
ASAN = -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
TSAN = -fsanitize=thread
asan tsan:
	@tools/install-deps check
	@$(AGAIN) BUILD=build/$@ HARDEN= LTO= CFLAGS="-O1 -g $(CHECKED) $($(if $(filter asan,$@),ASAN,TSAN))" \
		LDFLAGS="$($(if $(filter asan,$@),ASAN,TSAN))" all build/$@/unit-tests
	@BUILD=$(abspath build/$@) tests/sanitized $@

fuzz:
	@tools/install-deps fuzz
	@$(AGAIN) BUILD=build/fuzz CC=clang HARDEN= LTO= CFLAGS="-O1 -g $(ASAN) -fsanitize=fuzzer-no-link" fuzzers
	@FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_SEED=$(FUZZ_SEED) BUILD=$(abspath build/fuzz) tests/fuzz/run

$(BUILD)/libholdline.so: $(SHIM_OBJ) $(BUILD)/libpool.a $(EXPORTS)
	$(CC) $(HL_CFLAGS) $(LTO) $(SHIM_LDFLAGS) $(LDFLAGS) -o $@ $(SHIM_OBJ) $(BUILD)/libpool.a -ldl

ifdef MUSL
# Names that musl has not are not wrapped either: a program that looks for one by dlsym() must find none.
MUSL_NAMES = nm -D --defined-only /lib/ld-musl-$(firstword $(subst -, ,$(shell $(CC) -dumpmachine))).so.1
$(EXPORTS): shim/wrap/exports.map Makefile
	@mkdir -p $(@D)
	@$(MUSL_NAMES) | awk 'NR == FNR { has[$$3]; next } \
		/^[^#\t]|\*;/ { print; next } { n = split($$0, names, /[;\t ]+/) } \
		{ for (i = 1; i <= n; i++) if (names[i] in has || names[i] ~ /^io_uring/) print "\t" names[i] ";" }' - $< >$@

# musl-gcc sees no other headers: those of the kernel and of uthash, by links.
ifneq ($(CC),cc)
HL_CFLAGS += -isystem $(BUILD)/include
$(POOL_OBJ) $(SHIM_OBJ): $(BUILD)/include/linux
$(BUILD)/include/linux:
	@mkdir -p $(@D)/sys
	@ln -sfn -t $(@D) /usr/include/asm-generic /usr/include/uthash.h /usr/include/utlist.h /usr/include/$(MULTIARCH)/asm
	@ln -sfn -t $(@D)/sys $(wildcard /usr/include/$(MULTIARCH)/sys/sdt*.h)
	@ln -sfn /usr/include/linux $@
endif
endif

LINK_TOOL = $(CC) $(HL_CFLAGS) -fno-lto $(HARDEN_LDFLAGS) $(LDFLAGS) $(TOOL_OBJ) $(BUILD)/hardened/libpool.a $(TOOL_LIBS)
$(BUILD)/holdline: $(TOOL_OBJ) $(BUILD)/hardened/libpool.a
	$(LINK_TOOL) -o $@

# For images: Debian has no static libcjson and libmnl, so the command brings its loader and its libraries.
container: all
	@tools/packaging/container/make-tree $(BUILD) $(BUILD)/container $(LINK_TOOL)

$(BUILD)/libpool.a: $(POOL_OBJ)
$(BUILD)/hardened/libpool.a: $(TOOL_POOL_OBJ)
$(BUILD)/libpool.a $(BUILD)/hardened/libpool.a:
	@rm -f $@
	$(AR) qcs $@ $^

# The tests of the command's modules link them; only main() stays away. Objects of shim/ are never linked: they would
# interpose the test runner itself.
$(BUILD)/unit-tests: $(UNIT_OBJ) $(filter-out %/tools/main.o,$(TOOL_OBJ)) $(BUILD)/hardened/libpool.a
	$(CC) $(HL_CFLAGS) -fno-lto $(LDFLAGS) -o $@ $^ $(TOOL_LIBS) -lcrypto -lcheck_pic -lsubunit -lrt -lm -lpthread

$(BUILD)/tests/unit/%.o: HL_CFLAGS += -Wno-missing-prototypes
# Every test_NAME.c below tests/unit is run: it must define `Suite *NAME_suite(void)`.
$(BUILD)/tests/unit/main.o: HL_CFLAGS += -D'UNIT_SUITES=$(foreach source,$(UNIT_SRC),SUITE($(patsubst test_%.c,%,$(notdir $(source)))))'
$(BUILD)/tests/unit/main.o: $(UNIT_SRC)

fuzzers: $(FUZZERS) $(BUILD)/verdicts
$(BUILD)/verdicts: tests/fuzz/verdicts.c $(BUILD)/hardened/libpool.a
	$(CC) $(HL_CFLAGS) -o $@ $^
$(BUILD)/fuzz_%: tests/fuzz/fuzz_%.c $(filter-out %/tools/main.o,$(TOOL_OBJ)) $(BUILD)/hardened/libpool.a
	$(CC) $(HL_CFLAGS) -fsanitize=fuzzer -o $@ $^ $(TOOL_LIBS)
# TLS needs a cryptographic library: make takes the rule with the longer name.
$(BUILD)/fuzz_tls_%: tests/fuzz/fuzz_tls_%.c $(BUILD)/tests/unit/fake/crypto.o $(BUILD)/hardened/libpool.a
	$(CC) $(HL_CFLAGS) -fsanitize=fuzzer -o $@ $^ -lcrypto

$(BUILD)/fuzz_redis: TOOL_LIBS += -lhiredis

$(BUILD)/tools/%.o $(BUILD)/hardened/%.o: HL_CFLAGS += $(HARDEN)
$(SHIM_OBJ) $(POOL_OBJ): HL_CFLAGS += $(LTO)
# A sanitizer's runtime calls getrlimit() and sysconf() before it is ready for code of its own kind.
$(addprefix $(BUILD)/shim/,base/alone.o base/fdlimit.o base/libcs.o base/real.o base/symbols.o wrap/rlimit.o): HL_CFLAGS += -fno-sanitize=all
# The link-time optimizer doesn't see a function in assembly, and would drop its name.
$(BUILD)/shim/wrap/vfork.o: LTO =
# make would take one rule for both targets as a recipe that makes both at once.
define compile
@mkdir -p $(@D)
$(CC) $(HL_CFLAGS) -MMD -MP -c -o $@ $<
endef
$(BUILD)/%.o: %.c Makefile
	$(compile)
$(BUILD)/hardened/%.o: %.c Makefile
	$(compile)
$(BUILD)/llhttp/%.o: $(LLHTTP)/llhttp/%.c Makefile
	$(compile)
$(BUILD)/hardened/llhttp/%.o: $(LLHTTP)/llhttp/%.c Makefile
	$(compile)
$(BUILD)/llhttp/%.o $(BUILD)/hardened/llhttp/%.o: HL_CFLAGS += -w -DNDEBUG -I$(LLHTTP)/include/llhttp

install: install-library $(if $(MUSL),,install-command)

install-library: all
	install -D -m 644 $(BUILD)/libholdline.so $(DESTDIR)$(LIBDIR)/libholdline.so

install-command: all
	install -D -m 755 $(BUILD)/holdline $(DESTDIR)$(PREFIX)/bin/holdline
	for page in $(MANUAL); do install -D -m 644 tools/man/$$page $(DESTDIR)$(MANDIR)/man$${page##*.}/$$page || exit; done
	install -D -m 644 tools/packaging/systemd/holdline-broker.socket $(DESTDIR)$(UNITDIR)/holdline-broker.socket
	install -D -m 644 tools/prometheus/holdline.rules.yml $(DESTDIR)$(PREFIX)/share/holdline/holdline.rules.yml
	install -D -m 644 tools/prometheus/holdline-dashboard.json $(DESTDIR)$(PREFIX)/share/holdline/holdline-dashboard.json
	install -D -m 644 tools/packaging/completion/holdline.bash $(DESTDIR)$(BASHDIR)/holdline
	install -D -m 644 tools/packaging/completion/_holdline $(DESTDIR)$(ZSHDIR)/_holdline
	install -D -m 644 tools/packaging/completion/holdline.fish $(DESTDIR)$(FISHDIR)/holdline.fish
	install -d $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SYSTEMUNITDIR)
	sed 's|@PREFIX@|$(PREFIX)|' tools/packaging/systemd/holdline-broker.service >$(DESTDIR)$(UNITDIR)/holdline-broker.service
	sed 's|@PREFIX@|$(PREFIX)|' tools/packaging/systemd/holdline-metrics.service >$(DESTDIR)$(SYSTEMUNITDIR)/holdline-metrics.service

uninstall: uninstall-library $(if $(MUSL),,uninstall-command)

# Their programs would be told of a missing library at each start.
uninstall-library:
	@if [ -z "$(DESTDIR)" ] && grep -qsF "$(LIBDIR)/libholdline.so" /etc/systemd/system/*.d/zzz-holdline.conf; then \
		echo 'make uninstall: services are started with it: "holdline disable" each that "holdline enabled" lists' >&2; \
		exit 1; fi
	rm -f $(DESTDIR)$(LIBDIR)/libholdline.so

uninstall-command:
	rm -f $(DESTDIR)$(PREFIX)/bin/holdline \
		$(foreach page,$(MANUAL),$(DESTDIR)$(MANDIR)/man$(subst .,,$(suffix $(page)))/$(page)) \
		$(DESTDIR)$(PREFIX)/share/holdline/holdline.rules.yml $(DESTDIR)$(PREFIX)/share/holdline/holdline-dashboard.json \
		$(DESTDIR)$(BASHDIR)/holdline $(DESTDIR)$(ZSHDIR)/_holdline $(DESTDIR)$(FISHDIR)/holdline.fish \
		$(DESTDIR)$(UNITDIR)/holdline-broker.socket $(DESTDIR)$(UNITDIR)/holdline-broker.service \
		$(DESTDIR)$(SYSTEMUNITDIR)/holdline-metrics.service
	-rmdir $(DESTDIR)$(PREFIX)/share/holdline

deb:
	@tools/install-deps deb
	@tools/packaging/build-deb $(BUILD)/deb

# Debian's rpm does not know what is installed.
rpm:
	@tools/install-deps rpm
	@tools/packaging/build-rpm $(BUILD)/rpm $(if $(wildcard /etc/debian_version),--nodeps)

release:
	@tools/packaging/release $(BUILD)/release

distcheck:
	@tools/install-deps distcheck
	@rm -rf $(BUILD)/distcheck
	@tools/packaging/release $(BUILD)/distcheck
	@tools/packaging/distcheck $(BUILD)/distcheck

clean:
	rm -rf build

-include $(POOL_OBJ:.o=.d) $(TOOL_POOL_OBJ:.o=.d) $(SHIM_OBJ:.o=.d) $(TOOL_OBJ:.o=.d) $(UNIT_OBJ:.o=.d)
.DELETE_ON_ERROR:
.PHONY: help all deps demo check torture bench lint format asan tsan fuzz fuzzers install install-library install-command uninstall uninstall-library uninstall-command container deb rpm release distcheck clean
