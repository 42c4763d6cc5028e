# What the plugins' Makefiles share: the library that they are linked with, by the kernel's own Makefile.
PREFIX ?= /usr/local
CFLAGS ?= -O3
BUILD ?= build
OUT ?= .
override BUILD := $(abspath $(BUILD))
KERNEL = ../../kernel
COMPILE = $(CC) -std=c11 -Wall -Wextra -fPIC -fvisibility=hidden $(CFLAGS) -I$(KERNEL) -shared
HEADERS = ../plugin.h ../delayed.h

default: $(OUT)/$(PLUGIN)

$(OUT)/$(PLUGIN): $(SOURCE) $(HEADERS) $(BUILD)/libgtcrn.a
	mkdir -p $(OUT)
	$(COMPILE) $(SOURCE) $(BUILD)/libgtcrn.a $(LDFLAGS) -lm -o $@

$(BUILD)/libgtcrn.a: always # the kernel's Makefile knows what it is made of
	$(MAKE) -C $(KERNEL) BUILD=$(BUILD) $@

clean:
	rm -rf $(BUILD) $(OUT)/$(PLUGIN)

.PHONY: default install clean always
