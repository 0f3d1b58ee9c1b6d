# One non-recursive Makefile. `make help` lists the targets.
#   M=dev|release|sanitize   which build (default dev); everything goes to build/$(M)/
#   V=1                      show whole commands

M ?= dev
B ?= build/$(M)
PREFIX ?= /usr
DESTDIR ?=
V ?= 0
Q := $(if $(filter 1,$(V)),,@)
SAY = @$(if $(filter 1,$(V)),true,printf '  %-7s %s\n')

# One place says which version this is: the first line of debian/changelog.
VERSION := $(shell sed -n '1s/.*(\(.*\)).*/\1/p' debian/changelog)
# The ledger's schema that the programs are built for: what the newest migration that defines the view says.
SCHEMA := 2
PACKAGES := libsystemd libpq hiredis libmicrohttpd libconfig jansson libssl libcrypto libpcre2-8 libcurl

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wswitch-enum -Wvla \
	-Wformat=2 -Wpointer-arith -Wwrite-strings -Wundef -Werror
CFLAGS_dev := -O2 -g -fno-omit-frame-pointer -D_FORTIFY_SOURCE=2
CFLAGS_release := -O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-clash-protection \
	-ftrivial-auto-var-init=zero -fzero-call-used-regs=used-gpr
# Control-flow enforcement exists on x86 only. The shadow stack is asked for by name, because Debian's start files, which suit it, lack its mark.
ifneq ($(filter x86_64% i686% i586%,$(shell $(CC) -dumpmachine)),)
CFLAGS_release += -fcf-protection=full
LDFLAGS_release := -Wl,-z,shstk
endif
CFLAGS_sanitize := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
	-fno-sanitize-recover=undefined
LDFLAGS_sanitize := -fsanitize=address,undefined
CFLAGS_ALL = -std=gnu17 $(WARN) -fPIE -fstack-protector-strong -fno-math-errno -D_GNU_SOURCE \
	-DROLLBACKD_VERSION='"$(VERSION)"' -DROLLBACKD_SCHEMA=$(SCHEMA) -DROLLBACKD_SQL_DIRECTORY='"$(PREFIX)/share/rollbackd/sql"' $(CFLAGS_$(M)) $(CPPFLAGS) $(CFLAGS)
LDFLAGS_ALL = -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(LDFLAGS_$(M)) $(LDFLAGS)

# The floors: a folder sees itself and the floors below it, and nothing else.
quote = $(addprefix -iquote ,$(1))
LIB_BASE := lib/base
LIB_SENSE := $(LIB_BASE) lib/sense
LIB_JUDGE := $(LIB_SENSE) lib/judge
LIB_OPERATE := $(LIB_JUDGE) lib/operate
LIB_ENGINE := $(LIB_OPERATE) lib/engine
GLUE := $(LIB_ENGINE) daemon/glue
CONFIG := $(GLUE) daemon/config
ROOMS := probe step notify ledger http
FLOOR_lib_base := $(LIB_BASE)
FLOOR_lib_sense := $(LIB_SENSE)
FLOOR_lib_judge := $(LIB_JUDGE)
FLOOR_lib_operate := $(LIB_OPERATE)
FLOOR_lib_engine := $(LIB_ENGINE)
FLOOR_daemon_glue := $(GLUE)
FLOOR_daemon_config := $(CONFIG)
$(foreach r,$(ROOMS),$(eval FLOOR_daemon_$(r) := $(CONFIG) daemon/$(r)))
MANAGER := $(CONFIG) $(addprefix daemon/,$(ROOMS)) daemon
FLOOR_daemon := $(MANAGER)
FLOOR_daemon_ctl := $(MANAGER) daemon/ctl
FLOOR_daemon_manual := $(MANAGER) daemon/ctl daemon/manual
FLOOR_test_unit := $(MANAGER) daemon/ctl test/unit
FLOOR_test_bench := $(MANAGER) test/bench
FLOOR_test_demo := $(CONFIG) test/demo
FLOOR_test_fuzz := $(MANAGER) test/fuzz

LIB_SRC := $(sort $(wildcard lib/*/*.c))
DAEMON_SRC := $(sort $(filter-out daemon/main.c,$(wildcard daemon/*.c)) \
	$(foreach d,glue config $(ROOMS),$(wildcard daemon/$(d)/*.c)))
CTL_SRC := $(sort $(wildcard daemon/ctl/*.c))
MANUAL_SRC := $(sort $(wildcard daemon/manual/*.c))
obj = $(patsubst %.c,$(B)/%.o,$(1))

DEPS_CFLAGS := $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
DEPS_LIBS := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lm -lpthread

PROGRAMS := $(B)/rollbackd $(B)/rollbackctl

all: $(PROGRAMS) $(B)/man/made compile_commands.json ## build the daemon, rollbackctl and the manual

# Each compilation also leaves its line of compile_commands.json.
COMPILE = $(CC) $(CFLAGS_ALL) $(if $(filter lib/%,$<),-Wconversion) \
	$(call quote,$(FLOOR_$(subst /,_,$(patsubst %/,%,$(dir $<))))) $(DEPS_CFLAGS) -MMD -MP -c -o $@ $<
$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(SAY) CC $<
	$(Q)$(COMPILE)
	@printf '%s\n' '{"directory":"$(CURDIR)","file":"$<","output":"$@","command":"$(subst ",\",$(subst ','\'',$(COMPILE)))"},' >$(@:.o=.json)

$(B)/librollback.a: $(call obj,$(LIB_SRC))
	$(SAY) AR $@
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/libdaemon.a: $(call obj,$(DAEMON_SRC))
	$(SAY) AR $@
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/rollbackd: $(call obj,daemon/main.c) $(B)/libdaemon.a $(B)/librollback.a
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(DEPS_LIBS)

$(B)/rollbackctl: $(call obj,$(CTL_SRC)) $(B)/libdaemon.a $(B)/librollback.a
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(DEPS_LIBS)

# The manual: pages beside what they describe, their lists made from the tables that the programs use.
PAGES := daemon/rollbackd.8 daemon/ctl/rollbackctl.1 daemon/config/rollbackd.conf.5 daemon/config/rollbackd-policy.5 sql/rollbackd-sql.7
MAN := $(addprefix $(B)/man/,$(notdir $(PAGES)))
$(B)/manual: $(call obj,$(MANUAL_SRC) $(filter-out daemon/ctl/ctl.c,$(CTL_SRC))) $(B)/libdaemon.a $(B)/librollback.a
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(DEPS_LIBS)
$(B)/man/made: $(B)/manual $(addsuffix .in,$(PAGES)) $(wildcard sql/migrations/*.sql)
	@mkdir -p $(@D)
	$(SAY) MAN $(B)/man
	$(Q)set -e; for page in $(PAGES); do $(B)/manual $$page.in sql/migrations >$@; mv $@ $(B)/man/$${page##*/}; done; touch $@
man: $(B)/man/made ## build and lint the manual
	@test/deps "make man" mandoc
	$(Q)mandoc -T lint -W warning $(MAN)

# One test program per file of test/unit; those that need the daemon's objects say so by name test_daemon_*.
UNIT_SRC := $(sort $(wildcard test/unit/test_*.c))
UNIT_HELP := $(sort $(filter-out $(UNIT_SRC),$(wildcard test/unit/*.c)))
UNIT := $(patsubst test/unit/%.c,$(B)/test/%,$(UNIT_SRC))
UNIT_CTL := $(filter $(B)/test/test_daemon_ctl_%,$(UNIT))
UNIT_DAEMON := $(filter-out $(UNIT_CTL),$(filter $(B)/test/test_daemon_%,$(UNIT)))
UNIT_LIB := $(filter-out $(B)/test/test_daemon_%,$(UNIT))
$(UNIT_CTL): $(B)/test/%: $(B)/test/unit/%.o $(call obj,$(UNIT_HELP) $(filter-out daemon/ctl/ctl.c,$(CTL_SRC))) $(B)/libdaemon.a $(B)/librollback.a
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ -lcmocka $(DEPS_LIBS)
$(UNIT_DAEMON): $(B)/test/%: $(B)/test/unit/%.o $(call obj,$(UNIT_HELP)) $(B)/libdaemon.a $(B)/librollback.a
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ -lcmocka $(DEPS_LIBS)
$(UNIT_LIB): $(B)/test/%: $(B)/test/unit/%.o $(B)/librollback.a
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ -lcmocka -lm
unit: $(UNIT) ## build and run the unit tests of this build
	$(Q)test/run $(foreach t,$(UNIT),$(notdir $(t)).tap=$(t))

# Packages. `make demo` and `make check` install what they lack; `make deps` installs all of it.
DEPS_BUILD := gcc make pkg-config libc6-dev libsystemd-dev libpq-dev libhiredis-dev libmicrohttpd-dev libconfig-dev libjansson-dev libssl-dev \
	libpcre2-dev libcurl4-openssl-dev
DEPS_DEMO := $(DEPS_BUILD) postgresql-15 postgresql-client-15 python3 python3-psycopg
DEPS_CHECK := $(DEPS_DEMO) openssl git procps iproute2 util-linux libcmocka-dev python3-pytest python3-pytest-xdist python3-hypothesis redis-server systemd systemd-journal-remote shellcheck universal-ctags mandoc clang-format-14 prometheus monitoring-plugins-basic
DEPS_BENCH := $(DEPS_DEMO) postgresql-contrib
DEPS_PEERS := $(DEPS_DEMO) haproxy monit prometheus prometheus-blackbox-exporter openssl strace util-linux
DEPS_DEB := $(DEPS_BUILD) git build-essential dpkg-dev debhelper lintian devscripts
DEPS_CHECK_DEB := $(DEPS_DEB) debootstrap systemd-container python3 python3-pytest
deps-build:
	@test/deps "the build" $(DEPS_BUILD)
deps-demo:
	@test/deps "make demo" $(DEPS_DEMO)
deps-check:
	@test/deps "make check" $(DEPS_CHECK)
deps-bench:
	@test/deps "make bench" $(DEPS_BENCH)
deps-peers:
	@test/deps "make bench-peers" $(DEPS_PEERS)
deps-deb:
	@test/deps "make deb" $(DEPS_DEB)
deps-check-deb:
	@test/deps "make check-deb" $(DEPS_CHECK_DEB)
deps: ## install every Debian package that any target needs
	@test/deps "rollbackd" $(sort $(DEPS_CHECK) $(DEPS_BENCH) $(DEPS_PEERS) $(DEPS_CHECK_DEB))

# A fresh make reads pkg-config again once the packages are there; it uses every core unless -j said how many.
MAKE_AGAIN = +$(Q)$(MAKE) --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))
demo: deps-demo ## the main job in under a minute: a bad release, noticed and taken back (BAD=none|both|dependency, SEED=, KEEP=1)
	$(MAKE_AGAIN) demo-run
demo-run: $(PROGRAMS) $(B)/demo/platform
	$(Q)test/demo/run $(B)
$(B)/demo/platform: $(call obj,$(sort $(wildcard test/demo/*.c))) $(B)/libdaemon.a $(B)/librollback.a
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(DEPS_LIBS)

check: deps-check ## every test: unit, scenarios, ledger, end to end, sanitizers, units, lint
	$(MAKE_AGAIN) check-run
UNIT_SANITIZE := $(patsubst $(B)/test/%,build/sanitize/test/%,$(UNIT))
check-build: $(PROGRAMS) $(UNIT)
check-run: check-build $(B)/man/made
	$(MAKE_AGAIN) M=sanitize check-build
	$(Q)test/run lint=test/lint "symbols=test/check-symbols $(B)/librollback.a test/lib.symbols" "systemd=test/check-systemd $(B)" rules=test/check-rules \
		"manual=mandoc -T lint -W warning $(MAN)" \
		$(foreach t,$(UNIT),$(notdir $(t)).tap=$(t)) \
		$(foreach t,$(UNIT_SANITIZE),sanitize-$(notdir $(t)).tap=$(t)) \
		"end-to-end.pytest=BUILD=$(B) /usr/bin/python3 -m pytest -q -n 4 --junitxml=\$$JUNIT test/e2e" \
		"sanitize-end-to-end.pytest=BUILD=build/sanitize /usr/bin/python3 -m pytest -q -n 4 -m sanitize --junitxml=\$$JUNIT test/e2e"
sanitize: ## everything built with AddressSanitizer and UndefinedBehaviorSanitizer, and the unit tests run
	$(MAKE_AGAIN) M=sanitize all unit
format: ## lay the code out as .clang-format says
	git ls-files '*.c' '*.h' | xargs clang-format-14 -i
lint: deps-check ## what the compiler cannot refuse
	$(Q)test/lint

DEPS_FUZZ := $(DEPS_BUILD) clang-14 libclang-rt-14-dev
FUZZ_SECONDS ?= 30
FUZZ := $(patsubst test/fuzz/fuzz_%.c,%,$(sort $(wildcard test/fuzz/fuzz_*.c)))
fuzz: ## libFuzzer on every pure parser, FUZZ_SECONDS each
	@test/deps "make fuzz" $(DEPS_FUZZ)
	@mkdir -p $(B)/fuzz
	$(Q)set -e; for name in $(FUZZ); do mkdir -p $(B)/fuzz/corpus-$$name; \
		clang-14 -g -O1 -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE $(call quote,$(LIB_SENSE)) -o $(B)/fuzz/$$name \
			test/fuzz/fuzz_$$name.c lib/base/*.c lib/sense/*.c -lm; \
		$(B)/fuzz/$$name -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 $(B)/fuzz/corpus-$$name test/fuzz/corpus/$$name; done

BENCH_SRC := $(sort $(wildcard test/bench/bench_*.c))
BENCH := $(patsubst test/bench/%.c,$(B)/bench/%,$(BENCH_SRC))
$(B)/bench/%: $(B)/test/bench/%.o $(B)/libdaemon.a $(B)/librollback.a
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(DEPS_LIBS)
bench: deps-bench ## figures as JSON lines, each beside a peer or a floor of the same run
	$(MAKE_AGAIN) M=release bench-run
bench-run: $(PROGRAMS) $(BENCH)
	$(Q)test/bench/run $(B) engine commit burst probes
bench-peers: deps-peers ## what checking costs, beside HAProxy, monit and Prometheus in the same run, as JSON lines and a table
	$(MAKE_AGAIN) M=release bench-peers-run
bench-peers-run: $(PROGRAMS) $(B)/bench/bench_target $(B)/bench/bench_floor
	$(Q)test/bench/run $(B) cost rate hanging verdict wakeups tls others

compile_commands.json: $(call obj,$(LIB_SRC) $(DAEMON_SRC) daemon/main.c $(CTL_SRC) $(MANUAL_SRC))
	$(Q)printf '[%s]\n' "$$(cat $(^:.o=.json) | sed '$$ s/,$$//')" >$@

# The package is built in a tree of its own from the files that git knows, so that nothing else gets in and no build gets
# in its way. A test may ask for another VERSION or SCHEMA, and lay the files of DEB_EXTRA over the tree.
DEB := $(B)/deb
DEB_SOURCE = $(DEB)/rollbackd-$(VERSION)
DEB_ENVIRONMENT := env $(addprefix -u ,MAKEFLAGS MFLAGS MAKELEVEL B M V PREFIX DESTDIR CPPFLAGS CFLAGS LDFLAGS)
DEB_EXTRA ?=
deb: deps-deb ## the Debian package, checked, in build/dev/deb (VERSION=, SCHEMA=, DEB_EXTRA=DIR)
	@rm -rf $(DEB_SOURCE) && mkdir -p $(DEB_SOURCE)
	$(Q)git ls-files -z | xargs -0 cp --no-dereference --parents -t $(DEB_SOURCE)
	$(if $(DEB_EXTRA),$(Q)cp -R $(DEB_EXTRA)/. $(DEB_SOURCE)/)
	$(Q)sed -i '1s/(.*)/($(VERSION))/' $(DEB_SOURCE)/debian/changelog
	$(Q)sed -i 's/^SCHEMA := .*/SCHEMA := $(SCHEMA)/' $(DEB_SOURCE)/Makefile
	$(SAY) DEB $(DEB_SOURCE)
	$(Q)cd $(DEB_SOURCE) && $(DEB_ENVIRONMENT) dpkg-buildpackage -b -us -uc >../build.log 2>&1 || { tail -n 40 ../build.log; exit 1; }
	$(Q)test/check-package $(DEB)/rollbackd_$(VERSION)_*.deb
# Another directory, time, time zone and umask: the same bytes.
deb-again: deb ## the Debian package built a second time elsewhere: it must be the same, byte for byte
	$(Q)umask 0027; TZ=Asia/Tokyo $(MAKE) --no-print-directory B=$(B)/again DEB_EXTRA='$(DEB_EXTRA)' deb
	$(Q)set -e; for deb in $(DEB)/rollbackd*_$(VERSION)_*.deb; do cmp $$deb $(B)/again/deb/$${deb##*/}; done
	$(Q)rm -rf $(B)/again

# What the upgrade tests go to and come back from: the same with a higher version, and one migration and schema further.
deb-next: deps-deb ## the package with a higher version and one more migration, for the upgrade tests, in build/dev/next/deb
	$(Q)$(MAKE) --no-print-directory B=$(B)/next VERSION=$(VERSION)+next SCHEMA=$$(($(SCHEMA) + 1)) DEB_EXTRA=test/upgrade/extra deb

check-deb: deps-check-deb deb-again deb-next ## the package on a bare Debian with a real systemd, booted in a container, and upgrades; as root (KEEP=1)
	$(MAKE_AGAIN) all
	$(Q)BUILD=$(B) /usr/bin/python3 -m pytest -q --durations=5 -s test/deb

# Where things go on a host: here and nowhere else, the package too takes what this installs.
BINDIR := $(DESTDIR)$(PREFIX)/bin
SBINDIR := $(DESTDIR)$(PREFIX)/sbin
SHAREDIR := $(DESTDIR)$(PREFIX)/share/rollbackd
EXAMPLESDIR := $(DESTDIR)$(PREFIX)/share/doc/rollbackd/examples
MANDIR := $(DESTDIR)$(PREFIX)/share/man
UNITDIR := $(DESTDIR)/lib/systemd/system
SYSUSERSDIR := $(DESTDIR)/usr/lib/sysusers.d
TMPFILESDIR := $(DESTDIR)/usr/lib/tmpfiles.d
CATALOGDIR := $(DESTDIR)/usr/lib/systemd/catalog
CONFDIR := $(DESTDIR)/etc/rollbackd
UNITS := $(wildcard systemd/*.service systemd/*.socket systemd/*.timer)
ALERT_RULES := $(wildcard etc/prometheus/*.yml)
install: all ## copy programs, units, SQL and configuration below $$DESTDIR, never over a configuration that is there
	install -D -m 0755 $(B)/rollbackd $(SBINDIR)/rollbackd
	install -D -m 0755 $(B)/rollbackctl $(BINDIR)/rollbackctl
	install -d $(SHAREDIR)/sql/migrations $(EXAMPLESDIR) $(UNITDIR) $(SYSUSERSDIR) $(TMPFILESDIR) $(CATALOGDIR) $(CONFDIR)/policies.d
	install -m 0644 sql/roles.sql $(SHAREDIR)/sql/
	install -m 0644 sql/migrations/*.sql $(SHAREDIR)/sql/migrations/
	install -m 0644 $(UNITS) $(UNITDIR)/
	$(if $(ALERT_RULES),install -D -m 0644 -t $(SHAREDIR)/prometheus $(ALERT_RULES))
	install -m 0644 systemd/rollbackd.sysusers $(SYSUSERSDIR)/rollbackd.conf
	install -m 0644 systemd/rollbackd.tmpfiles $(TMPFILESDIR)/rollbackd.conf
	install -m 0644 systemd/rollbackd.catalog $(CATALOGDIR)/
	for page in $(MAN); do install -D -m 0644 $$page $(MANDIR)/man$${page##*.}/$${page##*/}; done
	for example in etc/policies.d/*.example; do install -m 0644 $$example $(EXAMPLESDIR)/$$(basename $$example .example); done
	test -e $(CONFDIR)/rollbackd.conf || install -m 0644 etc/rollbackd.conf $(CONFDIR)/rollbackd.conf
uninstall: ## remove what install copied; configuration and database stay
	rm -f $(SBINDIR)/rollbackd $(BINDIR)/rollbackctl $(patsubst systemd/%,$(UNITDIR)/%,$(UNITS))
	rm -f $(SYSUSERSDIR)/rollbackd.conf $(TMPFILESDIR)/rollbackd.conf $(CATALOGDIR)/rollbackd.catalog
	for page in $(notdir $(PAGES)); do rm -f $(MANDIR)/man$${page##*.}/$$page; done
	rm -rf $(SHAREDIR) $(EXAMPLESDIR)
clean: ## remove build/
	rm -rf build

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { gsub(/\$$\$$/, "$$"); printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: format fuzz all unit clean help deb deb-again deb-next deps deps-deb deps-build deps-demo deps-check deps-check-deb deps-bench deps-peers demo demo-run check check-build check-deb check-run sanitize lint bench bench-run bench-peers bench-peers-run install uninstall man
.SECONDARY:
-include $(shell find $(B) -path '*/deb' -prune -o -name '*.d' -print 2>/dev/null)
