//! Who holds how many bytes: the accounts behind the load line.
//!
//! The line is split in two accounts. Everything aboard draws on the *common*
//! one, except the oldest chain, which alone draws on the *reserve*. Neither
//! account is ever overdrawn, so their sum, the line, never is (I1), and the
//! oldest finds the whole reserve free whatever the others hold (I2).
//!
//! Cargo that turns out heavier than what was admitted for it exists all the
//! same. The part that no account can carry is booked as *overweight*: it is not
//! a permit, but it counts against every further admission to the common
//! account, so the excess drains before anything new is taken aboard.
//!
//! Real memory may run ahead of what is booked. Whoever measures that *tightens*
//! the line: so many of its bytes are not lent to the common account until it is
//! eased again. Permits already given are not touched, nor is the reserve, so the
//! oldest goes on however tight the line.
//!
//! The ledger is plain data; whoever owns it brings the lock.

/// Which account a permit is booked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Account {
    /// Shared by all that is aboard.
    Common,
    /// Kept for the oldest chain.
    Reserve,
}

/// Bytes that are booked in a [`Ledger`].
///
/// A permit is released exactly once (I5): it can be neither copied nor, in a
/// debug build, dropped while it still holds bytes.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
#[must_use = "a permit holds bytes until the ledger takes it back"]
pub(crate) struct Permit {
    account: Account,
    booked: u64,
    overweight: u64,
}

impl Permit {
    /// Bytes this permit stands for, carried by an account or not.
    pub(crate) fn bytes(&self) -> u64 {
        self.booked + self.overweight
    }

    /// Bytes of it that the reserve carries.
    #[cfg(test)]
    pub(crate) fn on_reserve(&self) -> u64 {
        if self.account == Account::Reserve { self.booked } else { 0 }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        debug_assert!(
            self.bytes() == 0 || std::thread::panicking(),
            "a permit of {} bytes was dropped instead of released",
            self.bytes()
        );
    }
}

/// The accounts.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Ledger {
    common_limit: u64,
    reserve_limit: u64,
    common: u64,
    reserve: u64,
    overweight: u64,
    tightened: u64,
    turnover: u64,
    peak_booked: u64,
    peak_overweight: u64,
}

/// Why an admission was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// What is aboard leaves no room.
    Full,
    /// There would be room if the line were not tightened.
    Tight,
}

impl Ledger {
    /// A ledger for a line of `line` bytes, `reserve` of them the oldest's.
    pub(crate) fn new(line: u64, reserve: u64) -> Self {
        assert!(reserve <= line, "a reserve of {reserve} bytes on a line of {line}");
        Self {
            common_limit: line - reserve,
            reserve_limit: reserve,
            common: 0,
            reserve: 0,
            overweight: 0,
            tightened: 0,
            turnover: 0,
            peak_booked: 0,
            peak_overweight: 0,
        }
    }

    /// Withholds `bytes` of the line from the common account from now on.
    pub(crate) fn tighten(&mut self, bytes: u64) {
        self.tightened = bytes;
    }

    /// Books cargo that already exists. What the account cannot carry becomes
    /// overweight; nothing is refused, because nothing could be undone.
    pub(crate) fn charge(&mut self, bytes: u64, account: Account) -> Permit {
        let booked = bytes.min(self.room(account));
        *self.balance(account) += booked;
        self.overweight += bytes - booked;
        self.turnover += bytes;
        self.note_peaks();
        Permit { account, booked, overweight: bytes - booked }
    }

    /// Adds `bytes` to `permit` if its account carries them. A step that needs
    /// nothing is never refused: it can only make room.
    pub(crate) fn admit(&mut self, permit: &mut Permit, bytes: u64) -> Result<(), Refusal> {
        if bytes > 0 {
            self.refuse(permit.account, bytes)?;
        }
        *self.balance(permit.account) += bytes;
        permit.booked += bytes;
        self.turnover += bytes;
        self.note_peaks();
        Ok(())
    }

    fn refuse(&self, account: Account, bytes: u64) -> Result<(), Refusal> {
        let excess = match account {
            Account::Common => self.overweight,
            Account::Reserve => 0,
        };
        if bytes.saturating_add(excess) > self.room(account) {
            return Err(Refusal::Full);
        }
        let wanted = self.held().saturating_add(bytes).saturating_add(self.tightened);
        if account == Account::Common && self.tightened > 0 && wanted > self.line() {
            return Err(Refusal::Tight);
        }
        Ok(())
    }

    /// Moves `permit` to the reserve, overweight included, as far as it fits.
    pub(crate) fn promote(&mut self, permit: &mut Permit) {
        if permit.account == Account::Reserve {
            return;
        }
        let bytes = permit.bytes();
        self.take_back(permit);
        permit.account = Account::Reserve;
        permit.booked = bytes.min(self.room(Account::Reserve));
        permit.overweight = bytes - permit.booked;
        self.reserve += permit.booked;
        self.overweight += permit.overweight;
        self.note_peaks();
    }

    /// Moves `permit` to the reserve if all of it fits there.
    pub(crate) fn promote_if_it_fits(&mut self, permit: &mut Permit) {
        if permit.bytes() <= self.reserve_room() {
            self.promote(permit);
        }
    }

    /// Takes a permit back.
    pub(crate) fn release(&mut self, mut permit: Permit) {
        self.take_back(&mut permit);
    }

    /// Bytes of the reserve that nobody holds.
    pub(crate) fn reserve_room(&self) -> u64 {
        self.room(Account::Reserve)
    }

    /// Bytes held by permits.
    pub(crate) fn booked(&self) -> u64 {
        self.common + self.reserve
    }

    /// Bytes that are booked or exist beyond it.
    pub(crate) fn held(&self) -> u64 {
        self.booked() + self.overweight
    }

    /// The bytes of both accounts.
    pub(crate) fn line(&self) -> u64 {
        self.common_limit + self.reserve_limit
    }

    /// Bytes of the line that nobody holds and that are not withheld.
    pub(crate) fn unlent(&self) -> u64 {
        // Overweight may exceed the line.
        self.line().saturating_sub(self.held()).saturating_sub(self.tightened)
    }

    /// Bytes of the line that are withheld.
    pub(crate) fn tightened(&self) -> u64 {
        self.tightened
    }

    /// Bytes that were ever booked or released: how much may have changed since
    /// an earlier look.
    pub(crate) fn turnover(&self) -> u64 {
        self.turnover
    }

    /// Bytes that exist beyond what was admitted.
    pub(crate) fn overweight(&self) -> u64 {
        self.overweight
    }

    /// The highest sum of permits so far.
    pub(crate) fn peak_booked(&self) -> u64 {
        self.peak_booked
    }

    /// The highest overweight so far.
    pub(crate) fn peak_overweight(&self) -> u64 {
        self.peak_overweight
    }

    fn take_back(&mut self, permit: &mut Permit) {
        let balance = self.balance(permit.account);
        assert!(permit.booked <= *balance, "more released than held: {permit:?} of {balance}");
        *balance -= permit.booked;
        assert!(permit.overweight <= self.overweight, "more released than held: {permit:?}");
        self.overweight -= permit.overweight;
        self.turnover += permit.bytes();
        permit.booked = 0;
        permit.overweight = 0;
    }

    fn room(&self, account: Account) -> u64 {
        match account {
            Account::Common => self.common_limit - self.common,
            Account::Reserve => self.reserve_limit - self.reserve,
        }
    }

    fn balance(&mut self, account: Account) -> &mut u64 {
        match account {
            Account::Common => &mut self.common,
            Account::Reserve => &mut self.reserve,
        }
    }

    fn note_peaks(&mut self) {
        self.peak_booked = self.peak_booked.max(self.booked());
        self.peak_overweight = self.peak_overweight.max(self.overweight);
    }
}

#[cfg(test)]
mod tests;
