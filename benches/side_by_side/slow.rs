//! Clients that read large replies slowly, and what the others see of them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::Scene;
use crate::backend::Backend;
use crate::contestant::Contestant;
use crate::crowd::{self, Asked, Crowd};
use crate::findings::Finding;
use crate::sample::percentile;

const READERS: u32 = 200;
/// Each takes a piece, then rests: 320 KB a second, 3 s a reply.
const PIECE: usize = 32 << 10;
const REST: Duration = Duration::from_millis(100);
/// What the kernel holds for a reader: little, so that the rest waits in the front end.
const WINDOW: u32 = 64 << 10;
/// Who reads as fast as it comes. Fewer than there are workers.
const OTHERS: u32 = 4;
const SETTLING: Duration = Duration::from_secs(1);

pub(crate) fn turn(
    scene: Scene<'_>,
    contestant: Contestant,
    backend: &Backend<'_>,
) -> Result<Vec<Finding>, String> {
    let server = scene.start(contestant, backend)?;
    let others = Crowd {
        to: server.address(),
        target: "/member.php",
        clients: OTHERS,
        pause: Duration::from_millis(1),
    };
    let window = 2 * scene.length.window();
    crowd::ask(&[others], || sleep(SETTLING));
    let (alone, ()) = crowd::ask(&[others], || sleep(window));
    // With nobody between: what the machine and php make of it.
    let (pools, root) = (backend.addresses(), scene.document.root());
    let straight = |others| crowd::ask_straight(others, (&pools, root), || sleep(window));
    let straight_alone = straight(others);
    let replies = Arc::new(AtomicU64::new(0));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    for _ in 0..READERS {
        runtime.spawn(keep_reading(server.address(), Arc::clone(&replies)));
    }
    sleep(3 * SETTLING);
    let (beside, ()) = crowd::ask(&[others], || sleep(window));
    let straight_beside = straight(others);
    // Nobody waits for them.
    runtime.shutdown_background();
    let ms = |diary: &[Asked], share| {
        let times = diary.iter().map(|asked| asked.took).collect();
        percentile(times, share).unwrap_or_default().as_secs_f64() * 1e3
    };
    let failed = beside[0].iter().filter(|asked| !asked.succeeded()).count();
    Ok(vec![
        Finding::new("others' p99 alone, ms", ms(&alone[0], 0.99)),
        Finding::new("others' p99 beside slow readers, ms", ms(&beside[0], 0.99)),
        Finding::new("beside ÷ alone", ms(&beside[0], 0.99) / ms(&alone[0], 0.99)),
        Finding::new("straight to php-fpm: p99 alone, ms", ms(&straight_alone, 0.99)),
        Finding::new("straight to php-fpm: p99 beside slow readers, ms", ms(&straight_beside, 0.99)),
        Finding::new("others' p50 beside slow readers, ms", ms(&beside[0], 0.5)),
        Finding::new("others' errors", failed as f64),
        Finding::new("whole slow replies", replies.load(Ordering::Relaxed) as f64),
    ])
}

async fn keep_reading(from: SocketAddr, replies: Arc<AtomicU64>) {
    loop {
        match read_slowly(from).await {
            Ok(()) => drop(replies.fetch_add(1, Ordering::Relaxed)),
            Err(_) => tokio::time::sleep(REST).await,
        }
    }
}

async fn read_slowly(to: SocketAddr) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(WINDOW)?;
    let mut stream = socket.connect(to).await?;
    stream.write_all(b"GET /big.php HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n").await?;
    let mut piece = vec![0; PIECE];
    loop {
        if stream.read(&mut piece).await? == 0 {
            return Ok(());
        }
        tokio::time::sleep(REST).await;
    }
}
