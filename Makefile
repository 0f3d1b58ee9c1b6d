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

VERSION := 0.1.0
PACKAGES := libsystemd libpq libmicrohttpd libconfig jansson libcrypto libpcre2-8 libcurl

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wswitch-enum -Wvla \
	-Wformat=2 -Wpointer-arith -Wwrite-strings -Wundef -Werror
CFLAGS_dev := -O2 -g -fno-omit-frame-pointer -D_FORTIFY_SOURCE=2
CFLAGS_release := -O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-clash-protection \
	-fcf-protection=full -ftrivial-auto-var-init=zero
CFLAGS_sanitize := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
	-fno-sanitize-recover=undefined
LDFLAGS_sanitize := -fsanitize=address,undefined
CFLAGS_ALL = -std=gnu17 $(WARN) -fPIE -fstack-protector-strong -fno-math-errno -D_GNU_SOURCE \
	-DROLLBACKD_VERSION='"$(VERSION)"' $(CFLAGS_$(M)) $(CFLAGS)
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
FLOOR_test_unit := $(MANAGER) test/unit
FLOOR_test_bench := $(MANAGER) test/bench
FLOOR_test_demo := $(CONFIG) test/demo
FLOOR_test_fuzz := $(MANAGER) test/fuzz

LIB_SRC := $(sort $(wildcard lib/*/*.c))
DAEMON_SRC := $(sort $(filter-out daemon/main.c,$(wildcard daemon/*.c)) \
	$(foreach d,glue config $(ROOMS),$(wildcard daemon/$(d)/*.c)))
CTL_SRC := $(sort $(wildcard daemon/ctl/*.c))
obj = $(patsubst %.c,$(B)/%.o,$(1))

DEPS_CFLAGS := $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
DEPS_LIBS := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lm -lpthread

PROGRAMS := $(B)/rollbackd $(B)/rollbackctl

all: $(PROGRAMS) ## build the daemon and rollbackctl

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(SAY) CC $<
	$(Q)$(CC) $(CFLAGS_ALL) $(if $(filter lib/%,$<),-Wconversion) $(call quote,$(FLOOR_$(subst /,_,$(patsubst %/,%,$(dir $<))))) \
		$(DEPS_CFLAGS) -MMD -MP -c -o $@ $<

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

# One test program per file of test/unit; those that need the daemon's objects say so by name test_daemon_*.
UNIT_SRC := $(sort $(wildcard test/unit/test_*.c))
UNIT := $(patsubst test/unit/%.c,$(B)/test/%,$(UNIT_SRC))
$(B)/test/%: $(B)/test/unit/%.o $(B)/librollback.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ -lcmocka -lm
$(B)/test/test_daemon_%: $(B)/test/unit/test_daemon_%.o $(B)/libdaemon.a $(B)/librollback.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ -lcmocka $(DEPS_LIBS)
unit: $(UNIT) ## build the unit tests and run them
	$(Q)for t in $(UNIT); do $$t || exit 1; done

clean: ## remove build/
	rm -rf build

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: all unit clean help
.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
