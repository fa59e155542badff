//! Deliberate bugs, one at a time, to prove that the simulation finds them. Without the feature
//! `mutants`, which no program that ships enables, none is ever on and the questions cost nothing.

macro_rules! mutants {
    ($($(#[$doc:meta])* $name:ident: $words:literal,)*) => {
        /// A deliberate bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Mutant {
            $($(#[$doc])* $name,)*
        }

        impl Mutant {
            /// Every mutant.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The bug in a few words.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $words,)*
                }
            }
        }
    };
}

mutants! {
    /// A writer's rows reach the ledger with its commit, not before its puts.
    IntentAfterPut: "intent after put",
    /// A secret that comes to be referenced carries the manager's own expiry.
    ExpiryOnReferenced: "native expiry on what is referenced",
    /// A name that is taken by other bytes counts as written.
    ConflictReadAsStored: "conflict read as stored",
    /// A put overwrites what has the name.
    PutOverwrites: "put not create-only",
    /// The next version is one above the highest that is still there.
    VersionReused: "version above the highest living one",
    /// A commit does not look at the revision its writer saw.
    RevisionUnchecked: "commit without revision check",
    /// A commit takes new rows whatever became of them.
    ExpiredCommitted: "commit of expired intents",
    /// Who drops the last reference does not write down when.
    LossUnnoticed: "loss of the last reference not written down",
    /// A grace is counted from when the secret was made.
    GraceFromCreation: "grace counted from creation",
    /// A claim, and who applies a plan, believe the scan before it.
    RecheckLeftOut: "recheck at the claim left out",
    /// A settled deletion leaves no receipt.
    ReceiptLeftOut: "receipt left out",
    /// A run that was refused the lease goes on.
    LeaseIgnored: "lease ignored",
    /// A run whose lease another one took meanwhile goes on claiming and settling.
    FencingLeftOut: "lease without fencing",
    /// A run goes on in a database that was restored beneath it.
    RestoreUnnoticed: "restore beneath a run not noticed",
    /// A listing that failed half-way counts as whole.
    PartialListAccepted: "partial listing accepted",
    /// No answer to a question counts as the answer that nothing is there.
    ErrorReadAsMissing: "error read as missing",
    /// What waits for its deletion counts as gone.
    ScheduledReadAsMissing: "scheduled for deletion read as missing",
    /// What a listing leaves out is dangling without a direct question.
    ListingTrusted: "miss in a listing believed",
    /// What was once referenced is deleted for good.
    DeletedForGood: "deleted for good instead of recoverably",
    /// Deletions are not put off where the manager cannot give back.
    HorizonIgnored: "backup horizon ignored",
    /// What landed late stays.
    SweepLeftOut: "sweep of late puts left out",
    /// Deletions that were cut off are not taken up again.
    ResumeLeftOut: "resuming left out",
    /// What is in use and waits for its deletion is left to wait.
    RescueLeftOut: "rescue left out",
    /// Unknown secrets under our mark stop nothing.
    UnknownMarkedIgnored: "guard on unknown marked secrets left out",
    /// A store without any reference stops nothing.
    ZeroReferencesIgnored: "guard on zero references left out",
    /// Whatever has the name is deleted, whosever it is.
    StrangerDeleted: "mark not looked at before deleting",
    /// A store that is behind the mark in the backend deletes all the same.
    EpochIgnored: "epoch check left out",
    /// A copy of the database goes on as if it were its original.
    HomeIgnored: "copy of the database taken for its original",
    /// A run deletes however large a share of what was in use.
    ShareIgnored: "guard on the share left out",
    /// What an undo brought back is due as if nobody had asked to hold it.
    HeldIgnored: "hold of what was brought back ignored",
    /// What was parked is never tried again.
    ParkedForGood: "parked deletions never tried again",
    /// A deletion that is parked ends its run.
    ParkedStopsRun: "parked deletion holds up the others",
    /// The driver forgets who asked for a job while that job was running.
    ActivationLost: "activation during a run lost",
    /// What bears the mark of any store counts as this store's.
    NeighbourTaken: "mark of another deployment taken for ours",
    /// Superseded versions that are to be kept go as all others.
    KeepIgnored: "number of superseded versions kept ignored",
    /// An abandoned row is taken while its put may still land.
    PutDeadlineIgnored: "reaper does not wait for the put",
    /// A deletion that another one is at, or that pauses, is taken on all the same.
    ClaimStolen: "claim of another worker not respected",
    /// Nobody notes that a higher version took the place of one that lost its last reference.
    SupersededUnmarked: "superseded versions taken for orphans",
    /// What fell due since the guards looked goes as well.
    AllowanceIgnored: "run takes on more than its guards saw",
    /// What was begun goes on whatever a guard says of the database.
    BegunUnguarded: "begun deletions go on past every guard",
    /// A deletion that failed is written down as done.
    FailureReadAsDone: "failed deletion written down as done",
    /// Letting go of what is missed takes what is in use as well.
    MissedUnchecked: "references not looked at when letting go",
    /// The same value under one coordinate counts as the same secret, whoever meant it.
    IntentIgnored: "intent in the mark not looked at",
    /// Whatever has the name of what a document once referred to is that, whoever meant it.
    IntentOfUsedIgnored: "intent in the mark of what was in use not looked at",
}

#[cfg(feature = "mutants")]
thread_local! {
    static ON: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Whether this thread runs with that bug.
#[cfg(feature = "mutants")]
pub fn on(mutant: Mutant) -> bool {
    ON.get() == Some(mutant)
}

/// Whether this thread runs with that bug: never, in a program without the feature `mutants`.
#[cfg(not(feature = "mutants"))]
#[inline]
pub const fn on(_: Mutant) -> bool {
    false
}

/// From here on this thread runs with that bug, or with none.
#[cfg(feature = "mutants")]
pub fn switch(mutant: Option<Mutant>) {
    ON.set(mutant);
}
