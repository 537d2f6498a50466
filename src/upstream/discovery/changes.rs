//! What a new seating changes, as one line: `pool php: + 10.0.0.4:9000 (dns fpm:9000), − 10.0.0.2:9000 (draining, 3 in flight)`.

use std::fmt;
use std::sync::Arc;

use super::roster::Placed;
use crate::upstream::member::{Member, Seat};

/// What differs between two seatings, in the order in which it is told.
#[derive(Debug, Default)]
pub(super) struct Changes(Vec<String>);

impl Changes {
    pub(super) fn between(before: &[Seat], after: &[Placed]) -> Self {
        let mut told = Vec::new();
        for Placed { seat, origin, .. } in after {
            let name = seat.member.name();
            match before.iter().find(|old| Arc::ptr_eq(&old.member, &seat.member)) {
                None if seat.weight == 1 => told.push(format!("+ {name} ({origin})")),
                None => told.push(format!("+ {name} ({origin}, weight {})", seat.weight)),
                Some(old) if old.weight != seat.weight => {
                    told.push(format!("~ {name} ({origin}, weight {}, was {})", seat.weight, old.weight));
                }
                Some(old) if old.tier != seat.tier => {
                    told.push(
                        format!("~ {name} ({origin}, {:?}, was {:?})", seat.tier, old.tier).to_lowercase(),
                    );
                }
                Some(_) => {}
            }
        }
        let stays = |member: &Arc<Member>| after.iter().any(|new| Arc::ptr_eq(&new.seat.member, member));
        for gone in before.iter().map(|seat| &seat.member).filter(|member| !stays(member)) {
            told.push(format!("− {} (draining, {} in flight)", gone.name(), gone.in_flight()));
        }
        Self(told)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}
