//! A model hub of our own on loopback that can misbehave.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
#![allow(dead_code, reason = "no test binary needs all of it")]

pub mod pulls;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use sha2::{Digest as _, Sha256};

/// How the hub answers for one file. The default tells the truth.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// What is sent.
    pub bytes: Vec<u8>,
    /// Another status, without a body.
    pub status: Option<u16>,
    /// Where the file really is: a path of this server, or a whole address.
    pub redirect: Option<String>,
    /// What `X-Linked-Size` says; the truth where it is `None`.
    pub linked_size: Option<u64>,
    /// What `X-Linked-Etag` says; the truth where it is `None`.
    pub linked_etag: Option<String>,
    /// The hub knows neither, as for small files.
    pub is_small: bool,
    /// What `Content-Length` says of a whole file; the truth where it is `None`.
    pub content_length: Option<usize>,
    /// Every request gets the whole file.
    pub ignores_range: bool,
    /// Bytes of the body after which the connection ends, and how many times that happens.
    pub breaks: Option<(usize, usize)>,
    /// Bytes of the body after which nothing comes any more, the connection staying open.
    pub stalls: Option<usize>,
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub method: String,
    pub path: String,
    /// The first byte of the `Range` asked for.
    pub from: Option<usize>,
}

type Answers = Arc<Mutex<HashMap<String, Answer>>>;

/// The server. It lives as long as the test.
pub struct Hub {
    pub endpoint: String,
    answers: Answers,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Hub {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (answers, seen) = (Answers::default(), Arc::default());
        let hub = Self {
            endpoint,
            answers: Arc::clone(&answers),
            seen: Arc::clone(&seen),
        };
        std::thread::Builder::new()
            .name("hub".into())
            .spawn(move || {
                for stream in listener.incoming() {
                    let (answers, seen) = (Arc::clone(&answers), Arc::clone(&seen));
                    let serve = move || serve(stream.unwrap(), &answers, &seen);
                    std::thread::Builder::new().spawn(serve).unwrap();
                }
            })
            .unwrap();
        hub
    }

    /// Has a file of the repository `owner/name` at the revision `main`.
    pub fn put(&self, repo: &str, file: &str, answer: Answer) {
        self.put_at(&format!("/{repo}/resolve/main/{file}"), answer);
    }

    /// Has something at a path.
    pub fn put_at(&self, path: &str, answer: Answer) {
        self.answers.lock().unwrap().insert(path.into(), answer);
    }

    /// What was asked for since the last time.
    pub fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

fn serve(stream: TcpStream, answers: &Answers, seen: &Mutex<Vec<Seen>>) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    if reader.read_line(&mut line).unwrap_or(0) == 0 {
        return;
    }
    let mut words = line.split(' ');
    let method = words.next().unwrap().to_owned();
    let path = words.next().unwrap().to_owned();
    let mut from = None;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).unwrap_or(0) <= 2 {
            break;
        }
        let header = header.trim().to_ascii_lowercase();
        if let Some(range) = header.strip_prefix("range: bytes=") {
            from = Some(range.trim_end_matches('-').parse().unwrap());
        }
    }
    seen.lock().unwrap().push(Seen {
        method: method.clone(),
        path: path.clone(),
        from,
    });
    let mut stream = reader.into_inner();
    let answer = {
        let mut answers = answers.lock().unwrap();
        let answer = answers.get(&path).cloned();
        if let Some(Answer {
            breaks: Some((_, times)),
            ..
        }) = answers.get_mut(&path).filter(|_| method == "GET")
        {
            *times = times.saturating_sub(1);
        }
        answer
    };
    // Whoever asked may be gone already.
    let _ = respond(&mut stream, &method, answer, from);
}

fn respond(
    stream: &mut TcpStream,
    method: &str,
    answer: Option<Answer>,
    from: Option<usize>,
) -> std::io::Result<()> {
    let Some(answer) = answer else {
        return stream.write_all(
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    };
    let mut head = String::new();
    let from = from.filter(|_| !answer.ignores_range).unwrap_or(0);
    let total = answer.bytes.len();
    let body = answer.bytes.get(from..).unwrap_or_default();
    if let Some(status) = answer.status {
        write!(head, "HTTP/1.1 {status} X\r\nContent-Length: 0\r\n").unwrap();
    } else if let Some(to) = &answer.redirect {
        write!(
            head,
            "HTTP/1.1 302 X\r\nLocation: {to}\r\nContent-Length: 0\r\n"
        )
        .unwrap();
    } else if from > 0 && from >= total {
        head += "HTTP/1.1 416 X\r\nContent-Length: 0\r\n";
    } else if from > 0 {
        let (last, length) = (total - 1, body.len());
        write!(
            head,
            "HTTP/1.1 206 X\r\nContent-Length: {length}\r\nContent-Range: bytes {from}-{last}/{total}\r\n"
        )
        .unwrap();
    } else {
        let length = answer.content_length.unwrap_or(total);
        write!(head, "HTTP/1.1 200 X\r\nContent-Length: {length}\r\n").unwrap();
    }
    let is_plain_redirect = answer.redirect.is_some() && answer.bytes.is_empty();
    if !answer.is_small && !is_plain_redirect {
        let size = answer.linked_size.unwrap_or(total as u64);
        let tag = answer.linked_etag.unwrap_or_else(|| sha256(&answer.bytes));
        write!(
            head,
            "X-Linked-Size: {size}\r\nX-Linked-Etag: \"{tag}\"\r\n"
        )
        .unwrap();
    }
    head += "Connection: close\r\n\r\n";
    stream.write_all(head.as_bytes())?;
    if method == "HEAD" || answer.status.is_some() || answer.redirect.is_some() {
        return Ok(());
    }
    if let Some(stop) = answer.stalls {
        stream.write_all(&body[..stop.min(body.len())])?;
        // Until the other end goes away.
        let _ = stream.read(&mut [0]);
        return Ok(());
    }
    let end = match answer.breaks {
        Some((stop, times)) if times > 0 => stop.min(body.len()),
        _ => body.len(),
    };
    stream.write_all(&body[..end])
}
