//! Other platforms whose secrets are in the manager that copies are removed from: what one of them mentions
//! stays there.

use cloakroom_core::platform::PlatformCopy;
use cloakroom_core::{Error, ErrorKind, Result};

use super::remove::Removing;

impl Removing<'_> {
    /// Those that no other platform mentions; `None` where one cannot be asked.
    pub(super) async fn mentioned_by_no_other(
        &mut self,
        mut going: Vec<PlatformCopy>,
    ) -> Result<Option<Vec<PlatformCopy>>> {
        let mover = self.mover;
        for neighbour in mover.neighbours.iter() {
            if going.is_empty() {
                break;
            }
            let names: Vec<String> = going.iter().map(|it| self.name(it).to_string()).collect();
            let asked = self.pass.read_by_other(neighbour, &names);
            match self.pass.lease.keep_during(asked).await {
                Ok(mentioned) => {
                    let before = going.len();
                    let mut mentioned = mentioned.into_iter();
                    going.retain(|_| mentioned.next() == Some(false));
                    self.report.left_to_others += (before - going.len()) as u64;
                }
                Err(error) => {
                    self.could_not_ask(&neighbour.platform, &error);
                    return Ok(None);
                }
            }
        }
        Ok(Some(going))
    }

    /// Whether all can be asked: what has begun cannot be taken back.
    pub(super) async fn can_ask_all_others(&mut self) -> bool {
        let before = self.report.failures();
        let mover = self.mover;
        for neighbour in mover.neighbours.iter() {
            let asked = self.pass.read_by_other(neighbour, &[]);
            if let Err(error) = self.pass.lease.keep_during(asked).await {
                self.could_not_ask(&neighbour.platform, &error);
            }
        }
        self.report.failures() == before
    }

    fn could_not_ask(&mut self, platform: &str, error: &Error) {
        let message = format!(
            "this platform has secrets in {} too, and whether it mentions those that are to go is not \
             known: {error}",
            self.mover.id_of(self.of)
        );
        self.report
            .take_issue(platform, ErrorKind::Unavailable, message);
    }
}
