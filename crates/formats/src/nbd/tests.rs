//! Tests with faulty servers: silent, malformed, out of order.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use super::*;

const SHORT: Patience = Patience {
    handshake: Duration::from_millis(300),
    request: Duration::from_millis(300),
};

/// Serves one client on a port of its own, and opens that.
fn with_server(
    serve: impl FnOnce(TcpStream) -> io::Result<()> + Send + 'static,
    patience: Patience,
) -> Result<Nbd> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let uri = format!("nbd://{}/", listener.local_addr()?);
    // It ends when its client does, at the latest.
    thread::spawn(move || serve(listener.accept()?.0));
    Nbd::open(&uri, false, patience, None)
}

fn said(
    serve: impl FnOnce(TcpStream) -> io::Result<()> + Send + 'static,
    patience: Patience,
) -> String {
    match with_server(serve, patience) {
        Ok(_) => panic!("it was opened"),
        Err(error) => error.to_string(),
    }
}

/// The handshake of a server whose export has 1 MiB.
fn greet(stream: &mut TcpStream, blocks: Option<[u32; 3]>) -> io::Result<()> {
    greet_with(stream, 0x7d, blocks)
}

/// The same of one whose export has these flags.
fn greet_with(stream: &mut TcpStream, flags: u8, blocks: Option<[u32; 3]>) -> io::Result<()> {
    stream.write_all(b"NBDMAGICIHAVEOPT\0\x03")?;
    stream.read_exact(&mut [0; 28])?;
    let mut answer = |kind: u32, data: &[u8]| {
        let head = [
            0x0003_e889_0455_65a9_u64.to_be_bytes().to_vec(),
            vec![0, 0, 0, 7],
        ]
        .concat();
        stream.write_all(&head)?;
        stream.write_all(&kind.to_be_bytes())?;
        stream.write_all(&(data.len() as u32).to_be_bytes())?;
        stream.write_all(data)
    };
    let size = (1_u64 << 20).to_be_bytes();
    answer(3, &[&[0, 0], &size[..], &[0, flags]].concat())?;
    if let Some(blocks) = blocks {
        let sizes: Vec<u8> = blocks.iter().flat_map(|size| size.to_be_bytes()).collect();
        answer(3, &[&[0, 3], &sizes[..]].concat())?;
    }
    answer(1, &[])
}

fn reply(stream: &mut TcpStream, error: u32, cookie: &[u8], data: &[u8]) -> io::Result<()> {
    let head = [0x6744_6698_u32.to_be_bytes(), error.to_be_bytes()].concat();
    stream.write_all(&[&head, cookie, data].concat())
}

fn request(stream: &mut TcpStream) -> io::Result<[u8; 28]> {
    let mut request = [0; 28];
    stream.read_exact(&mut request)?;
    Ok(request)
}

#[test]
fn silence_and_nonsense_are_told() {
    let listens = |mut stream: TcpStream| stream.read_to_end(&mut Vec::new()).map(drop);
    let silent = said(listens, SHORT);
    assert!(silent.contains("does not answer within 0.3 s"), "{silent}");
    // A byte now and then is no answer.
    let slow = |mut stream: TcpStream| loop {
        stream.write_all(b"N")?;
        thread::sleep(SHORT.handshake / 6);
    };
    let slow = said(slow, SHORT);
    assert!(slow.contains("does not answer within 0.3 s"), "{slow}");
    let told = |what: &str, says: &'static [u8]| {
        let said = said(
            move |mut stream| {
                stream.write_all(says)?;
                listens(stream)
            },
            PATIENCE,
        );
        assert!(said.contains(what), "{said}");
    };
    told("no NBD greeting", b"HTTP/1.1 400 Bad Request");
    told("before 2012", b"NBDMAGIC\0\0\x42\x02\x81\x86\x12\x53\0\0");
    let closed = said(|_| Ok(()), PATIENCE);
    assert!(closed.contains("closed the connection"), "{closed}");
    let blocks = said(
        move |mut stream| {
            greet(&mut stream, Some([65536, 65536, 65536]))?;
            listens(stream)
        },
        PATIENCE,
    );
    assert!(blocks.contains("blocks of 65536 bytes"), "{blocks}");
    let endless = said(
        |mut stream| {
            stream.write_all(b"NBDMAGICIHAVEOPT\0\x03")?;
            loop {
                stream.write_all(b"\0\x03\xe8\x89\x04\x55\x65\xa9\0\0\0\x07\0\0\0\x03\0\0\0\0")?;
            }
        },
        PATIENCE,
    );
    assert!(endless.contains("do not end"), "{endless}");
}

#[test]
fn replies_may_come_in_any_order() {
    let disk = with_server(
        |mut stream| {
            greet(&mut stream, None)?;
            let requests = [
                request(&mut stream)?,
                request(&mut stream)?,
                request(&mut stream)?,
            ];
            for request in requests.iter().rev() {
                let sector = request[22];
                match sector {
                    // The second of them fails.
                    2 => reply(&mut stream, 28, &request[8..16], &[])?,
                    _ => reply(&mut stream, 0, &request[8..16], &[sector; 512])?,
                }
            }
            stream.read_to_end(&mut Vec::new()).map(drop)
        },
        PATIENCE,
    )
    .unwrap();
    thread::scope(|scope| {
        for sector in [0, 2, 4] {
            let disk = &disk;
            scope.spawn(move || {
                let (mut one, mut two) = ([9; 200], [9; 312]);
                let buffers = &mut [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
                let read = disk.read_at(buffers, sector << 8);
                match sector {
                    2 => assert_eq!(read.unwrap_err().raw_os_error(), Some(28)),
                    sector => {
                        read.unwrap();
                        assert_eq!([&one[..], &two].concat(), [sector as u8; 512]);
                    }
                }
            });
        }
    });
}

#[test]
fn what_is_too_long_is_cut() {
    let (sender, receiver) = mpsc::channel();
    let disk = with_server(
        move |mut stream| {
            greet(&mut stream, Some([1, 4096, 1000]))?;
            while let Ok(request) = request(&mut stream) {
                let len = crate::bytes::be32(&request, 24);
                let mut data = vec![0; len as usize];
                stream.read_exact(&mut data)?;
                let _ = sender.send((crate::bytes::be64(&request, 16), data));
                reply(&mut stream, 0, &request[8..16], &[])?;
            }
            Ok(())
        },
        PATIENCE,
    )
    .unwrap();
    let (one, two) = ([1; 300], [2; 724]);
    disk.write_at(&[IoSlice::new(&one), IoSlice::new(&two)], 512, false)
        .unwrap();
    drop(disk);
    let sent: Vec<_> = receiver.iter().take(2).collect();
    // 1000 bytes are a block of 512, and no other.
    assert_eq!(sent[0], (512, [vec![1; 300], vec![2; 212]].concat()));
    assert_eq!(sent[1], (1024, vec![2; 512]));
}

/// Where the server can't make one write durable, it makes all of them.
#[test]
fn a_durable_write_is_flushed_one_way_or_the_other() {
    const HAS_FLUSH: u8 = 0b101;
    const HAS_FUA: u8 = 0b1000;
    for (flags, expected) in [
        (HAS_FLUSH, vec![(1, 0), (3, 0)]),
        (HAS_FLUSH | HAS_FUA, vec![(1, 1)]),
    ] {
        let (sender, receiver) = mpsc::channel();
        let disk = with_server(
            move |mut stream| {
                greet_with(&mut stream, flags, None)?;
                loop {
                    let request = request(&mut stream)?;
                    let _ = sender.send((request[7], request[5]));
                    if request[7] == 1 {
                        stream.read_exact(&mut [0; 512])?;
                    }
                    reply(&mut stream, 0, &request[8..16], &[])?;
                }
            },
            PATIENCE,
        )
        .unwrap();
        disk.write_at(&[IoSlice::new(&[1; 512])], 0, true).unwrap();
        let sent: Vec<(u8, u8)> = receiver.iter().take(expected.len()).collect();
        assert_eq!(sent, expected);
        assert!(receiver.try_recv().is_err(), "more was sent");
    }
}

/// All who wait and all who come later get an error, whatever ends it.
fn ends(serve: impl FnOnce(TcpStream) -> io::Result<()> + Send + 'static, patience: Patience) {
    let disk = with_server(serve, patience).unwrap();
    thread::scope(|scope| {
        for n in 0..4 {
            let disk = &disk;
            scope.spawn(move || {
                let result = match n {
                    0 => disk.flush(),
                    1 => disk.write_at(&[IoSlice::new(&[0; 512])], 0, false),
                    _ => disk.read_at(&mut [IoSliceMut::new(&mut [0; 512])], 0),
                };
                assert_eq!(result.unwrap_err().raw_os_error(), Some(5));
            });
        }
    });
    let later = disk.read_at(&mut [IoSliceMut::new(&mut [0; 512])], 0);
    assert_eq!(later.unwrap_err().raw_os_error(), Some(5));
}

#[test]
fn the_end_of_a_server_is_an_error_of_all() {
    ends(
        |mut stream| {
            greet(&mut stream, None)?;
            request(&mut stream).map(drop)
        },
        PATIENCE,
    );
    // Data breaks off.
    ends(
        |mut stream| {
            greet(&mut stream, None)?;
            loop {
                let request = request(&mut stream)?;
                match request[7] {
                    0 => return reply(&mut stream, 0, &request[8..16], &[1; 100]),
                    // The data of a write.
                    1 => stream.read_exact(&mut [0; 512])?,
                    _ => {}
                }
            }
        },
        PATIENCE,
    );
    // A reply to nobody.
    ends(
        |mut stream| {
            greet(&mut stream, None)?;
            reply(&mut stream, 0, &[0xff; 8], &[])?;
            stream.read_to_end(&mut Vec::new()).map(drop)
        },
        PATIENCE,
    );
    // Silence.
    ends(
        |mut stream| {
            greet(&mut stream, None)?;
            stream.read_to_end(&mut Vec::new()).map(drop)
        },
        SHORT,
    );
}
