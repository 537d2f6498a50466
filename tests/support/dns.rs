//! A name server of a test's own: answers over UDP what the test says, or does not answer at all.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use hickory_resolver::proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use parking_lot::Mutex;

/// What the server does with a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Answers,
    /// As a server that is gone, or behind a wall.
    Silent,
    ServFail,
}

#[derive(Debug)]
struct Zone {
    records: HashMap<(String, RecordType), Vec<RData>>,
    ttl: u32,
    mood: Mood,
}

/// A running server on a port of its own.
#[derive(Debug)]
pub struct Dns {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    asked: Arc<AtomicUsize>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Dns {
    /// Knows no name yet. Its TTL is Docker's, unless told.
    pub fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = socket.local_addr().expect("a bound socket");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a time");
        let zone = Zone { records: HashMap::new(), ttl: 600, mood: Mood::Answers };
        let zone = Arc::new(Mutex::new(zone));
        let (asked, ends) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (its_zone, its_count, its_end) = (Arc::clone(&zone), Arc::clone(&asked), Arc::clone(&ends));
        let thread = std::thread::spawn(move || {
            let mut question = [0; 4096];
            while !its_end.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut question) else { continue };
                its_count.fetch_add(1, Ordering::Relaxed);
                if let Some(answer) = answer(&question[..length], &its_zone.lock()) {
                    drop(socket.send_to(&answer, from));
                }
            }
        });
        Self { address, zone, asked, ends, thread: Some(thread) }
    }

    /// For `[server]`.
    pub fn key(&self) -> String {
        format!("resolver = [\"{}\"]", self.address)
    }

    /// The name has these addresses from now on; none: it does not exist.
    pub fn a(&self, name: &str, addresses: &[Ipv4Addr]) {
        let records = addresses.iter().map(|&address| RData::A(A(address)));
        self.set(name, RecordType::A, records.collect());
    }

    /// The service has these targets from now on: priority, weight, port, name.
    pub fn srv(&self, name: &str, targets: &[(u16, u16, u16, &str)]) {
        let target = |&(priority, weight, port, target): &(u16, u16, u16, &str)| {
            RData::SRV(SRV::new(priority, weight, port, absolute(target)))
        };
        self.set(name, RecordType::SRV, targets.iter().map(target).collect());
    }

    pub fn ttl(&self, seconds: u32) {
        self.zone.lock().ttl = seconds;
    }

    pub fn be(&self, mood: Mood) {
        self.zone.lock().mood = mood;
    }

    /// Questions so far.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    fn set(&self, name: &str, kind: RecordType, records: Vec<RData>) {
        self.zone.lock().records.insert((absolute(name).to_string(), kind), records);
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(JoinHandle::join));
    }
}

fn absolute(name: &str) -> Name {
    Name::from_ascii(format!("{}.", name.trim_end_matches('.'))).expect("a name")
}

fn answer(question: &[u8], zone: &Zone) -> Option<Vec<u8>> {
    let question = Message::from_vec(question).ok()?;
    let query = question.queries.first()?.clone();
    let mut answer = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
    answer.metadata.recursion_desired = true;
    answer.metadata.recursion_available = true;
    let name = query.name().to_lowercase().to_string();
    let kinds = [RecordType::A, RecordType::SRV];
    let known =
        kinds.iter().any(|&kind| zone.records.get(&(name.clone(), kind)).is_some_and(|r| !r.is_empty()));
    answer.metadata.response_code = match zone.mood {
        Mood::Silent => return None,
        Mood::ServFail => ResponseCode::ServFail,
        Mood::Answers if !known => ResponseCode::NXDomain,
        Mood::Answers => ResponseCode::NoError,
    };
    if answer.metadata.response_code == ResponseCode::NoError {
        for data in zone.records.get(&(name, query.query_type())).into_iter().flatten() {
            answer.add_answer(Record::from_rdata(query.name().clone(), zone.ttl, data.clone()));
        }
    }
    answer.add_query(query);
    answer.to_vec().ok()
}
