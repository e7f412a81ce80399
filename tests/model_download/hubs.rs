//! Stand-in hubs: one of a single file that goes through its acts, one of a repository.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use parlour::models::catalogue::{Catalogue, Kind, Place};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// What the hub does with one request for a file.
#[derive(Clone, Copy)]
pub(crate) enum Act {
    /// Promises what is asked for, sends this many bytes of it, hangs up.
    Cut(usize),
    /// Sends what is asked for.
    Serve,
    /// Sends the whole whatever is asked for.
    IgnoreRange,
    /// Sends other bytes of the same length.
    Garble,
    /// States a checksum and redirects.
    RedirectStating(&'static str),
    Status(&'static str),
}

/// A hub that goes through its acts, one per request, and remembers the requests' ranges.
pub(crate) struct Hub {
    pub(crate) address: String,
    pub(crate) requests: Arc<Mutex<Vec<Request>>>,
}

pub(crate) struct Request {
    pub(crate) path: String,
    /// First byte of the range that was asked for.
    start: Option<usize>,
}

impl Hub {
    pub(crate) fn start(content: Vec<u8>, acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            let mut acts = acts.into_iter();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let request = read_request(&stream);
                let start = request.start;
                seen.lock().unwrap().push(request);
                let act = acts.next().unwrap_or(Act::Status("410 Gone"));
                // A client that hangs up is the client's affair.
                let _ = answer(&mut stream, &content, start, act, "");
            }
        });
        Self { address, requests }
    }

    pub(crate) fn ranges(&self) -> Vec<Option<usize>> {
        let requests = self.requests.lock().unwrap();
        requests.iter().map(|request| request.start).collect()
    }
}

fn read_request(stream: &TcpStream) -> Request {
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let mut start = None;
    for line in lines.take_while(|line| !line.is_empty()) {
        if let Some(range) = line.to_lowercase().strip_prefix("range: bytes=") {
            start = Some(range.trim_end_matches('-').parse().unwrap());
        }
    }
    Request { path, start }
}

/// `headers` go with the bytes; each ends with a line break.
fn answer(
    stream: &mut TcpStream,
    content: &[u8],
    start: Option<usize>,
    act: Act,
    headers: &str,
) -> std::io::Result<()> {
    let mut send = |start: Option<usize>, body: &[u8]| {
        let length = content.len() - start.unwrap_or(0);
        match start {
            None => write!(stream, "HTTP/1.1 200 OK\r\n")?,
            Some(start) => write!(
                stream,
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {start}-{}/{}\r\n",
                content.len() - 1,
                content.len()
            )?,
        }
        write!(
            stream,
            "{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
        )?;
        stream.write_all(body)
    };
    let rest = &content[start.unwrap_or(0)..];
    match act {
        Act::Cut(bytes) => send(start, &rest[..bytes]),
        Act::Serve => send(start, rest),
        Act::IgnoreRange => send(None, content),
        Act::Garble => send(start, &vec![b'?'; rest.len()]),
        Act::RedirectStating(sha256) => write!(
            stream,
            "HTTP/1.1 302 Found\r\nX-Linked-Etag: \"{sha256}\"\r\nLocation: /elsewhere\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n"
        ),
        Act::Status(status) => write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        ),
    }
}

/// Where the stand-in says that large files lie.
const ELSEWHERE: &str = "/elsewhere";

/// A path that bytes were asked of, and from which one on.
type Asked = (String, Option<usize>);

/// A hub with many files. It states of large ones (graphs and their weights) the SHA-256
/// and redirects; of others it states git's name of their content. What it is to do instead
/// for a file, once each, comes first.
pub(crate) struct FileHub {
    pub(crate) address: String,
    requests: Arc<Mutex<Vec<Asked>>>,
}

impl FileHub {
    /// `root` is what stands before the files' names in URLs.
    pub(crate) fn start(
        root: &str,
        files: &BTreeMap<String, Vec<u8>>,
        acts: &[(&str, &[Act])],
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let root = format!("{root}/");
        let files = files.clone();
        let mut acts: HashMap<String, VecDeque<Act>> = acts
            .iter()
            .map(|(name, acts)| ((*name).to_owned(), acts.iter().copied().collect()))
            .collect();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let request = read_request(&stream);
                let redirected = request.path.strip_prefix(ELSEWHERE);
                let path = redirected.unwrap_or(&request.path);
                let name = path.strip_prefix(&root).unwrap_or_default();
                let content = files.get(name).map_or(&[][..], Vec::as_slice);
                let (act, headers) = if !files.contains_key(name) {
                    (Act::Status("404 Not Found"), String::new())
                } else if name.contains(".onnx") && redirected.is_none() {
                    let sha256 = hexadecimal(&Sha256::digest(content));
                    let lines = format!(
                        "302 Found\r\nX-Linked-Etag: \"{sha256}\"\r\nLocation: {ELSEWHERE}{path}"
                    );
                    (Act::Status(lines.leak()), String::new())
                } else {
                    seen.lock().unwrap().push((name.to_owned(), request.start));
                    let next = acts.get_mut(name).and_then(VecDeque::pop_front);
                    let stated = match redirected {
                        // Where large files lie, tags say nothing about their content.
                        Some(_) => "0123456789abcdef0123456789abcdef01234567".to_owned(),
                        None => git_blob(content),
                    };
                    (
                        next.unwrap_or(Act::Serve),
                        format!("ETag: \"{stated}\"\r\n"),
                    )
                };
                // A client that hangs up is the client's affair.
                let _ = answer(&mut stream, content, request.start, act, &headers);
            }
        });
        Self { address, requests }
    }

    /// The hub that the catalogue names first for an entry, with these contents of its files.
    pub(crate) fn of(kind: Kind, name: &str, content: impl Fn(&str) -> Vec<u8>) -> Self {
        let catalogue = Catalogue::builtin();
        let entry = catalogue.of_kind(kind, name).unwrap();
        let Place::HubExport {
            repository,
            revision,
            folder,
            files,
        } = &entry.sources[0].place
        else {
            panic!("{:?}", entry.sources);
        };
        let files: BTreeMap<String, Vec<u8>> = files
            .iter()
            .map(|file| (file.path.clone(), content(&file.path)))
            .collect();
        let folder = folder.as_ref().map(|folder| format!("/{folder}"));
        let folder = folder.unwrap_or_default();
        let root = format!("/{repository}/resolve/{revision}{folder}");
        Self::start(&root, &files, &[])
    }

    /// The requests for bytes since this was last asked.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

/// Git's name of a file's content.
fn git_blob(content: &[u8]) -> String {
    let mut blob = Sha1::new();
    blob.update(format!("blob {}\0", content.len()));
    blob.update(content);
    hexadecimal(&blob.finalize())
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
