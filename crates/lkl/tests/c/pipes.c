/* Two programs, each with a kernel, and two named pipes between them; configured from JSON
 * and from the environment. Arguments: two named pipes. */
#include <arpa/inet.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lkl_config.h>

#include "check.h"

static struct lkl_sockaddr_in at(const char *address)
{
	struct lkl_sockaddr_in at = {.sin_family = LKL_AF_INET, .sin_port = htons(7)};

	at.sin_addr.lkl_s_addr = inet_addr(address);
	return at;
}

/* Sends back one datagram. */
static void serve(struct lkl_config *config)
{
	struct lkl_sockaddr_in own = at("10.0.0.1"), from;
	int sock, len = sizeof(from);
	char text[2048];
	long size;

	OK(lkl_load_config_pre(config));
	OK(lkl_start_kernel("%s", config->boot_cmdline ? config->boot_cmdline : ""));
	OK(lkl_load_config_post(config));
	MAKE(sock, lkl_sys_socket(LKL_AF_INET, LKL_SOCK_DGRAM, 0));
	OK(lkl_sys_bind(sock, (struct lkl_sockaddr *)&own, sizeof(own)));
	size = lkl_sys_recvfrom(sock, text, sizeof(text), 0, (struct lkl_sockaddr *)&from, &len);
	CHECK(size > 0);
	RETURNS(size, lkl_sys_sendto(sock, text, size, 0, (struct lkl_sockaddr *)&from, len));
	/* The other one says that it has it. */
	CHECK(lkl_sys_recv(sock, text, sizeof(text), 0) > 0);
	OK(lkl_unload_config(config));
	OK(lkl_sys_halt());
}

static void ask(struct lkl_config *config)
{
	struct lkl_sockaddr_in to = at("10.0.0.1");
	struct lkl_pollfd answered = {.events = LKL_POLLIN};
	char text[1400], answer[2048];
	int sock;

	memset(text, 'x', sizeof(text));
	OK(lkl_load_config_pre(config));
	OK(lkl_start_kernel("mem=64M"));
	OK(lkl_load_config_post(config));
	CHECK(!strncmp(contents("/proc/sys/net/ipv4/ip_default_ttl"), "77", 2));
	CHECK(strstr(contents("/proc/net/route"), "eth0\t00000000\t0100000A"));
	CHECK(strstr(contents("/proc/net/arp"), "02:00:00:00:00:05"));
	MAKE(sock, lkl_sys_socket(LKL_AF_INET, LKL_SOCK_DGRAM, 0));
	OK(lkl_sys_connect(sock, (struct lkl_sockaddr *)&to, sizeof(to)));
	answered.fd = sock;
	/* The other one may not listen yet. */
	do {
		lkl_sys_send(sock, text, sizeof(text), 0);
	} while (lkl_sys_poll(&answered, 1, 100) == 0 ||
		 lkl_sys_recv(sock, answer, sizeof(answer), LKL_MSG_DONTWAIT) !=
			 (long)sizeof(text));
	CHECK(!memcmp(text, answer, sizeof(text)));
	RETURNS(1, lkl_sys_send(sock, "!", 1, 0));
	OK(lkl_unload_config(config));
	CHECK(!config->ifaces && !config->gateway && config->ifnum == 0);
	OK(lkl_sys_halt());
}

static void wrong(const char *json)
{
	struct lkl_config config = {0};

	RETURNS(-1, lkl_load_config_json(&config, json));
	OK(lkl_unload_config(&config));
}

int main(int argc, char **argv)
{
	struct lkl_config config = {0};
	char text[1000], pipes[500];
	int status;
	pid_t child;

	CHECK(argc == 3);
	OK(lkl_init(&lkl_host_ops));
	wrong("{");
	wrong("[]");
	wrong("{\"no such key\": \"1\"}");
	wrong("{\"gateway\": [1]}");
	wrong("{\"interfaces\": {}}");
	wrong("{\"interfaces\": [{\"ip\": \"10.0.0.2\", \"color\": \"red\"}]}");
	RETURNS(-1, lkl_load_config_json(&config, NULL));
	OK(lkl_load_config_env(&config));
	CHECK(config.ifnum == 0 && !config.ifaces);
	OK(lkl_load_config_json(&config, "{\"interfaces\": [{\"type\": \"none\"}]}"));
	RETURNS(-1, lkl_load_config_pre(&config));
	OK(lkl_unload_config(&config));

	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		/* It waits for the other one, and goes with it. */
		CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
		snprintf(pipes, sizeof(pipes), "%s|%s", argv[1], argv[2]);
		setenv("LKL_HIJACK_NET_IFTYPE", "pipe", 1);
		setenv("LKL_HIJACK_NET_IFPARAMS", pipes, 1);
		setenv("LKL_HIJACK_NET_IP", "10.0.0.1", 1);
		setenv("LKL_HIJACK_NET_NETMASK_LEN", "24", 1);
		setenv("LKL_HIJACK_BOOT_CMDLINE", "mem=64M", 1);
		OK(lkl_load_config_env(&config));
		RETURNS(1, config.ifnum);
		serve(&config);
		return 0;
	}
	snprintf(text, sizeof(text),
		 "{\"gateway\": \"10.0.0.1\", \"mount\": \"proc,sysfs\", \"debug\": \"0\","
		 " \"sysctl\": \"net.ipv4.ip_default_ttl=77\", \"interfaces\": [{"
		 "\"type\": \"pipe\", \"param\": \"%s|%s\", \"ip\": \"10.0.0.2\","
		 " \"masklen\": \"24\", \"mac\": \"02:00:00:00:00:02\", \"mtu\": \"1450\","
		 " \"neigh\": \"10.0.0.5|02:00:00:00:00:05\", \"qdisc\": \"root|fq\"}]}",
		 argv[2], argv[1]);
	OK(lkl_load_config_json(&config, text));
	RETURNS(1, config.ifnum);
	CHECK(!strcmp(config.ifaces->ifip, "10.0.0.2") && !config.ifaces->next);
	lkl_show_config(&config);
	ask(&config);
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
	RETURNS(0, WEXITSTATUS(status));
	return 0;
}
