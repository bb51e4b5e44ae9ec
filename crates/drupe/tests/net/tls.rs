//! Kernel TLS: the kernel encrypts what is written, and decrypts what is read.

use std::io::{Read, Write};

use drupe::net::{TcpListener, TcpStream};

use crate::lab::{Outcome, bounded, kernel, pattern};

const TCP_ULP: i32 = 31;
const SOL_TLS: i32 = 282;
const TLS_TX: i32 = 1;
const TLS_RX: i32 = 2;

/// `struct tls12_crypto_info_aes_gcm_128`: TLS 1.2, AES-GCM, and `seed` for its
/// initialisation vector, key, salt and record number.
fn secret(seed: u8) -> [u8; 40] {
    let mut secret = [seed; 40];
    secret[..4].copy_from_slice(&[0x03, 0x03, 51, 0]);
    secret
}

fn encrypt(stream: &TcpStream, direction: i32, seed: u8) -> drupe::Result<()> {
    let socket = stream.as_socket();
    socket.set_raw_option(libc::IPPROTO_TCP, TCP_ULP, b"tls")?;
    socket.set_raw_option(SOL_TLS, direction, &secret(seed))
}

#[test]
fn what_is_written_is_encrypted_and_read() -> Outcome {
    let kernel = kernel()?;
    let listener = TcpListener::bind(&kernel, "127.0.0.1:0")?;
    let text = pattern(10_000);
    // Who has the key reads it; who looks at the wire, or has another, does not.
    for key in [Some(7), None, Some(8)] {
        let mut client = TcpStream::connect(&kernel, listener.local_addr()?)?;
        let (mut server, _) = listener.accept()?;
        encrypt(&client, TLS_TX, 7)?;
        if let Some(key) = key {
            encrypt(&server, TLS_RX, key)?;
        }
        client.write_all(&text)?;
        drop(client);
        let mut read = Vec::new();
        let result = bounded(|| server.read_to_end(&mut read));
        match key {
            Some(7) => assert!(result.is_ok() && read == text),
            Some(_) => assert_eq!(
                result.unwrap_err().raw_os_error(),
                Some(libc::EBADMSG),
                "the sum is wrong"
            ),
            None => {
                // Records of at most 16 KiB: a header, a number, a sum.
                assert_eq!(read.len(), text.len() + 5 + 8 + 16);
                assert_eq!(read[..3], [23, 3, 3]);
                assert!(!read.windows(64).any(|window| window == &text[..64]));
            }
        }
    }
    Ok(())
}
