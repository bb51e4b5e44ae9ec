//! Programs that make system calls without the C library, or have many threads.

use drupe_testing::skipped;

use crate::harness::{Outcome, Place, tool};
use crate::ran::{compile, prints};

const THREADS: &str = r#"
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHECK(c) do { if (!(c)) { perror(#c); exit(1); } } while (0)
static struct sockaddr_in address = { .sin_family = AF_INET };

static void *serve(void *listener)
{
	for (;;) {
		char bytes[100];
		int s = accept4(*(int *)listener, NULL, NULL, SOCK_CLOEXEC);
		CHECK(s >= 0);
		struct iovec piece = { bytes, sizeof(bytes) };
		struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };
		ssize_t len = recvmsg(s, &message, 0);
		CHECK(len > 0);
		piece.iov_len = len;
		CHECK(sendmsg(s, &message, MSG_NOSIGNAL) == len);
		close(s);
	}
}

static void *ask(void *unused)
{
	for (int i = 0; i < 100; i++) {
		char bytes[100], back[100];
		int s = socket(AF_INET, SOCK_STREAM, 0);
		CHECK(connect(s, (void *)&address, sizeof(address)) == 0);
		int len = sprintf(bytes, "%d of %ld", i, (long)pthread_self());
		CHECK(write(s, bytes, len) == len);
		CHECK(recv(s, back, sizeof(back), MSG_WAITALL) == len);
		CHECK(memcmp(bytes, back, len) == 0);
		close(s);
	}
	return unused;
}

int main(void)
{
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(address);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK(bind(listener, (void *)&address, len) == 0);
	CHECK(listen(listener, 100) == 0);
	CHECK(getsockname(listener, (void *)&address, &len) == 0);
	pthread_t threads[8];
	for (int i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, i < 4 ? serve : ask, &listener);
	for (int i = 4; i < 8; i++)
		pthread_join(threads[i], NULL);
	puts("all asked");
	return 0;
}
"#;

#[test]
fn a_static_program_with_threads() -> Outcome {
    let place = Place::new()?;
    let program = compile(&place, THREADS)?;
    assert_eq!(prints(&[&program])?, "all asked\n");
    Ok(())
}

const GO: &str = r#"
package main

import ("fmt"; "io"; "net"; "net/http"; "strings")

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil { panic(err) }
	body := strings.Repeat("served by Go ", 100000)
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, body)
	}))
	done := make(chan bool)
	for i := 0; i < 20; i++ {
		go func() {
			answer, err := http.Get("http://" + listener.Addr().String())
			if err != nil { panic(err) }
			got, err := io.ReadAll(answer.Body)
			done <- err == nil && string(got) == body
		}()
	}
	for i := 0; i < 20; i++ { if !<-done { panic("not what was served") } }
	interfaces, err := net.Interfaces()
	fmt.Println(len(interfaces), err)
	_, err = net.Dial("tcp", "127.0.0.1:1")
	fmt.Println(strings.Contains(err.Error(), "refused"))
}
"#;

/// Where there is no Go, this is left out.
#[test]
fn a_go_program() -> Outcome {
    if let Err(error) = tool("go", |go| go.arg("version")) {
        skipped(error);
        return Ok(());
    }
    let place = Place::new()?;
    place.write("main.go", GO)?;
    let program = place.path("program");
    tool("go", |go| {
        go.env("CGO_ENABLED", "0")
            .env("GOCACHE", place.path("cache"))
            .env("GO111MODULE", "off")
            .args(["build", "-o"])
            .arg(&program)
            .arg(place.path("main.go"))
    })?;
    let program = program.to_string_lossy();
    assert_eq!(prints(&[&program])?, "1 <nil>\ntrue\n");
    Ok(())
}
