//! An echo on the product's sockets. It is no part of the product.

use std::{convert::Infallible, future::poll_fn, net::SocketAddr, sync::mpsc};

use actix_codec::Framed;
use actix_http::{HttpService, Request, Response, h1};
use actix_service::fn_service;
use parlour::{
    gateway::socket::accept,
    rooms::link::{Fault, FrameLimits, Heard, Link},
};
use tokio::{io::AsyncWriteExt, net::TcpStream};

/// As large as the suite's largest: 16 MiB, and 4 MiB in frames of 64 bytes.
const LIMITS: FrameLimits = FrameLimits {
    message: 16 << 20,
    frames: 1 << 17,
};

/// Starts it on a free port, for as long as the tests run.
pub fn serve() -> SocketAddr {
    let (ready, address) = mpsc::channel();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            let address = listener.local_addr().expect("an address");
            let server = actix_server::Server::build()
                .disable_signals()
                .workers(2)
                .listen("echo", listener, || {
                    HttpService::build()
                        .upgrade(fn_service(greet))
                        .finish(|_: Request| async { Ok::<_, Infallible>(Response::not_found()) })
                        .tcp()
                })
                .expect("a server")
                .run();
            ready.send(address).expect("somebody waits");
            server.await.expect("it serves");
        });
    });
    address.recv().expect("it listens")
}

async fn greet(
    (request, framed): (Request, Framed<TcpStream, h1::Codec>),
) -> Result<(), Infallible> {
    let parts = framed.into_parts();
    let mut stream = parts.io;
    let answer = accept(request.head()).expect("a handshake");
    if stream.write_all(answer.as_bytes()).await.is_ok() {
        let link = Link::new(stream, &parts.read_buf, LIMITS);
        actix_web::rt::spawn(echo(link));
    }
    Ok(())
}

async fn echo(mut link: Link) {
    loop {
        if poll_fn(|task| link.poll_flush(task)).await.is_err() {
            return;
        }
        match poll_fn(|task| link.poll_hear(task)).await {
            Ok(Heard::Text(text)) => link.say(&text),
            Ok(Heard::Binary(bytes)) => link.say_binary(&bytes),
            Ok(Heard::Ping(payload)) => link.pong(&payload),
            Ok(Heard::Pong) => {}
            Ok(Heard::Close(code)) => {
                link.close(code, "");
                return link.linger().await;
            }
            Err(Fault::Breach(code)) => {
                link.close(Some(code), "");
                return link.linger().await;
            }
            Err(Fault::Gone) => return,
        }
    }
}
