/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The configuration of a kernel's network, mounts and settings, from JSON or from
 * environment variables (LKL_HIJACK_…). docs/lkl.md has the keys.
 */
#ifndef LKL_CONFIG_H
#define LKL_CONFIG_H

#include "lkl_autoconf.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LKL_CONFIG_JSON_TOKEN_MAX 300

struct lkl_netdev;

/* An interface. Texts are the caller's, or from malloc(3); NULL: not set. */
struct lkl_config_iface {
	struct lkl_config_iface *next;
	struct lkl_netdev *nd;
	char *iftap;           /* a tap device: old form of iftype "tap" */
	char *iftype;          /* "tap", "raw", "macvtap", "pipe" */
	char *ifparams;        /* what the kind needs: the name of a device, of a file */
	char *ifmtu_str;       /* bytes */
	char *ifip;            /* IPv4 address */
	char *ifipv6;          /* IPv6 address */
	char *ifgateway;       /* IPv4 gateway of packets from this address */
	char *ifgateway6;      /* IPv6 gateway of packets from this address */
	char *ifmac_str;       /* 01:23:45:67:89:ab */
	char *ifnetmask_len;   /* bits of the IPv4 prefix */
	char *ifnetmask6_len;  /* bits of the IPv6 prefix */
	char *ifoffload_str;   /* accepted, and not used */
	char *ifneigh_entries; /* "ADDRESS|MAC;ADDRESS|MAC;…" */
	char *ifqdisc_entries; /* "root|fq;…" */
};

struct lkl_config {
	int ifnum; /* how many interfaces */
	struct lkl_config_iface *ifaces;
	char *gateway;      /* IPv4 default gateway */
	char *gateway6;     /* IPv6 default gateway */
	char *debug;        /* not "0": show the kernel's log */
	char *mount;        /* "proc,sysfs,…": mounted at "/proc" and so on */
	char *single_cpu;   /* accepted: a kernel has one CPU */
	char *sysctls;      /* "net.ipv4.tcp_wmem=4096 87380 2147483647;…" */
	char *boot_cmdline; /* added to the kernel's command line */
	char *dump;         /* accepted, and not used */
	char *delay_main;   /* accepted, and not used */
	char *nameserver;   /* accepted, and not used: names are the program's to resolve */
};

/* Reads a configuration, into one that is all zero or was read before. 0 or -1, and a line on
 * standard error. */
int lkl_load_config_json(struct lkl_config *cfg, const char *jstr);
int lkl_load_config_env(struct lkl_config *cfg);

/* Prints it. */
void lkl_show_config(struct lkl_config *cfg);

/* Adds the network devices; before lkl_start_kernel(). 0 or -1. */
int lkl_load_config_pre(struct lkl_config *cfg);

/* Sets everything else; after lkl_start_kernel(). 0 or -1. */
int lkl_load_config_post(struct lkl_config *cfg);

/* Removes the network devices and frees what reading has allocated. 0. */
int lkl_unload_config(struct lkl_config *cfg);

#ifdef __cplusplus
}
#endif

#endif
