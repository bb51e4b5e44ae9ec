//! An echo server and its clients, in tokio, on two kernels that a cable joins: no root,
//! and nothing of the host's network.
//!
//! ```text
//! cargo run --example tokio_echo
//! ```

use std::error::Error;

use drupe::Kernel;
use drupe::net::tokio::{TcpListener, TcpStream};
use drupe_netadmin::{BuilderExt, Config};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::task::JoinSet;

/// What carries on one thread or on many: a program's own runtime.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let (one, other) = drupe_links::pair(1500);
    let at = |address| Config::new().address(address);
    let here = Kernel::builder().link(one, at("10.0.0.1/24")).boot()?;
    let there = Kernel::builder().link(other, at("10.0.0.2/24")).boot()?;

    let listener = TcpListener::bind(&there, "10.0.0.2:7").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(serve(listener));

    let mut clients = JoinSet::new();
    for number in 0..100 {
        let kernel = here.clone();
        clients.spawn(async move {
            let stream = TcpStream::connect(&kernel, address).await?;
            ask(stream, &format!("hello from client {number}")).await
        });
    }
    let mut bytes = 0;
    while let Some(answer) = clients.join_next().await {
        bytes += answer??.len();
    }
    println!("100 clients got {bytes} bytes back");
    // Its sockets go with it, before the kernel.
    server.abort();
    Ok(())
}

/// Echoes everything, of everybody.
async fn serve(listener: TcpListener) -> drupe::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let (mut reader, mut writer) = stream.into_split();
            copy(&mut reader, &mut writer).await
        });
    }
}

/// Sends a text, and returns what comes back until the end.
async fn ask(stream: TcpStream, text: &str) -> Result<String, Box<dyn Error + Send + Sync>> {
    let (mut reader, mut writer) = stream.into_split();
    writer.write_all(text.as_bytes()).await?;
    // The server reads the end.
    drop(writer);
    let mut answer = String::new();
    reader.read_to_string(&mut answer).await?;
    match answer == text {
        true => Ok(answer),
        false => Err(format!("sent {text:?}, and got {answer:?}").into()),
    }
}

#[test]
fn runs_to_its_end() -> Result<(), Box<dyn Error + Send + Sync>> {
    main()
}
