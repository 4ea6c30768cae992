//! What runs do, for Prometheus: `cargo run --features metrics --example metrics`, and
//! meanwhile `curl http://127.0.0.1:9184/metrics`.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread::{sleep, spawn};
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use plimsoll::{Budget, Footprint, MIB, Pipeline, Stage};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let handle = PrometheusBuilder::new().install_recorder()?;
    let listener = TcpListener::bind("127.0.0.1:9184")?;
    let answers = handle.clone();
    spawn(move || serve(&listener, &answers));

    let parse = Stage::cpu("parse").map(|n: u64| n);
    let screen = Stage::memory("screen", Footprint::per_item(|_| 12 * MIB)).map(|n: u64| {
        sleep(Duration::from_millis(20));
        n
    });
    let pipeline = Pipeline::new(parse).then(screen).build(&Budget::new(100 * MIB, 8))?;
    pipeline.run(0..1_000, drop)?;
    print!("{}", handle.render());
    Ok(())
}

/// Answers whoever asks with what there is.
fn serve(listener: &TcpListener, handle: &PrometheusHandle) {
    for mut client in listener.incoming().flatten() {
        let lines = BufReader::new(&client).lines();
        let _asked: Vec<_> = lines.map_while(Result::ok).take_while(|it| !it.is_empty()).collect();
        let body = handle.render();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        // A client that has left does not matter.
        let _ = client.write_all((head + &body).as_bytes());
    }
}
