use proptest::prelude::*;

use super::*;

#[test]
fn admission_stops_at_the_common_account_and_the_reserve_stays_whole() {
    let mut ledger = Ledger::new(100, 40);
    let mut common = ledger.charge(0, Account::Common);
    assert_eq!(ledger.admit(&mut common, 60), Ok(()));
    assert_eq!(ledger.admit(&mut common, 1), Err(Refusal::Full));
    let mut oldest = ledger.charge(0, Account::Reserve);
    assert_eq!(ledger.admit(&mut oldest, 40), Ok(()));
    assert_eq!(ledger.admit(&mut oldest, 1), Err(Refusal::Full));
    assert_eq!((ledger.booked(), ledger.peak_booked()), (100, 100));
    ledger.release(common);
    ledger.release(oldest);
    assert_eq!((ledger.booked(), ledger.peak_booked()), (0, 100));
}

#[test]
fn overweight_is_no_permit_but_blocks_admission_until_it_is_gone() {
    let mut ledger = Ledger::new(100, 40);
    let heavy = ledger.charge(90, Account::Common);
    assert_eq!((heavy.bytes(), ledger.booked(), ledger.overweight()), (90, 60, 30));
    let mut other = ledger.charge(0, Account::Common);
    assert_eq!(ledger.admit(&mut other, 1), Err(Refusal::Full));
    assert!(ledger.admit(&mut other, 0).is_ok(), "a step that needs nothing is not held up");
    ledger.release(heavy);
    assert_eq!(ledger.admit(&mut other, 60), Ok(()));
    ledger.release(other);
    assert_eq!((ledger.booked(), ledger.overweight(), ledger.peak_overweight()), (0, 0, 30));
}

#[test]
fn promotion_frees_the_common_account_and_carries_the_overweight() {
    let mut ledger = Ledger::new(100, 40);
    let filler = ledger.charge(50, Account::Common);
    let mut item = ledger.charge(30, Account::Common);
    assert_eq!(ledger.overweight(), 20);
    ledger.promote(&mut item);
    ledger.promote(&mut item);
    assert_eq!((item.account, item.bytes()), (Account::Reserve, 30));
    assert_eq!((ledger.booked(), ledger.overweight(), ledger.reserve_room()), (80, 0, 10));
    ledger.release(filler);
    ledger.release(item);
}

#[test]
fn a_step_moves_to_the_reserve_as_a_whole_or_not_at_all() {
    let mut ledger = Ledger::new(100, 40);
    let cargo = ledger.charge(10, Account::Reserve);
    let [mut large, mut small] = [31, 30].map(|bytes| ledger.charge(bytes, Account::Common));
    assert_eq!(ledger.overweight(), 1);
    ledger.promote_if_it_fits(&mut large);
    assert_eq!((large.on_reserve(), ledger.reserve_room()), (0, 30));
    ledger.promote_if_it_fits(&mut small);
    ledger.promote_if_it_fits(&mut small);
    assert_eq!((small.on_reserve(), ledger.reserve_room(), ledger.overweight()), (30, 0, 0));
    [cargo, large, small].into_iter().for_each(|permit| ledger.release(permit));
    assert_eq!(ledger.held(), 0);
}

#[test]
fn a_tightened_line_is_lent_to_the_oldest_alone() {
    let mut ledger = Ledger::new(100, 40);
    let mut common = ledger.charge(0, Account::Common);
    assert_eq!(ledger.admit(&mut common, 30), Ok(()));
    ledger.tighten(60);
    assert_eq!(ledger.tightened(), 60);
    assert_eq!(ledger.admit(&mut common, 10), Ok(()), "40 of 40 that are left");
    assert_eq!(ledger.admit(&mut common, 1), Err(Refusal::Tight));
    assert_eq!(ledger.admit(&mut common, 21), Err(Refusal::Full), "as it would be anyway");
    let mut oldest = ledger.charge(0, Account::Reserve);
    ledger.tighten(u64::MAX);
    assert_eq!(ledger.admit(&mut oldest, 40), Ok(()));
    assert_eq!(ledger.admit(&mut common, 0), Ok(()), "a step that needs nothing makes room");
    assert_eq!(ledger.admit(&mut common, 1), Err(Refusal::Tight));
    ledger.tighten(0);
    assert_eq!(ledger.admit(&mut common, 20), Ok(()));
    let turnover = ledger.turnover();
    ledger.release(common);
    ledger.release(oldest);
    assert_eq!((turnover, ledger.turnover()), (100, 200));
}

#[test]
#[should_panic(expected = "more released than held")]
fn releasing_more_than_is_held_is_a_bug() {
    let mut ledger = Ledger::new(100, 40);
    ledger.release(Permit { account: Account::Common, booked: 1, overweight: 0 });
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "dropped instead of released")]
fn losing_a_permit_is_a_bug() {
    drop(Ledger::new(100, 40).charge(1, Account::Common));
}

/// What may be done to a ledger; permits are named by their place in a list.
#[derive(Clone, Debug)]
enum Deed {
    Charge(u64, Account),
    Admit(usize, u64),
    Promote(usize),
    Release(usize),
    Tighten(u64),
}

fn deed() -> impl Strategy<Value = Deed> {
    let account = prop_oneof![Just(Account::Common), Just(Account::Reserve)];
    prop_oneof![
        (0..50u64, account).prop_map(|(bytes, account)| Deed::Charge(bytes, account)),
        (any::<usize>(), 0..50u64).prop_map(|(place, bytes)| Deed::Admit(place, bytes)),
        any::<usize>().prop_map(Deed::Promote),
        any::<usize>().prop_map(Deed::Release),
        (0..120u64).prop_map(Deed::Tighten),
    ]
}

/// The rule of admission in its plainest words.
fn refusal(ledger: &Ledger, account: Account, more: u64) -> Option<Refusal> {
    let fits = match account {
        Account::Common => ledger.common + ledger.overweight + more <= 60,
        Account::Reserve => ledger.reserve + more <= 40,
    };
    let all = ledger.common + ledger.reserve + ledger.overweight + more;
    let is_tight = ledger.tightened > 0 && all + ledger.tightened > 100;
    match account {
        _ if more == 0 => None,
        _ if !fits => Some(Refusal::Full),
        Account::Common if is_tight => Some(Refusal::Tight),
        _ => None,
    }
}

/// A plain model: what each permit stands for, and on which account.
#[derive(Default)]
struct Model {
    permits: Vec<(Permit, u64, Account)>,
}

impl Model {
    fn sum(&self) -> u64 {
        self.permits.iter().map(|(_, bytes, _)| bytes).sum()
    }

    fn act(&mut self, ledger: &mut Ledger, deed: Deed) {
        let place = |place: usize| (!self.permits.is_empty()).then(|| place % self.permits.len());
        match deed {
            Deed::Charge(bytes, account) => {
                self.permits.push((ledger.charge(bytes, account), bytes, account));
            }
            Deed::Admit(at, more) => {
                let Some(at) = place(at) else { return };
                let (permit, bytes, account) = &mut self.permits[at];
                let wanted = refusal(ledger, *account, more);
                assert_eq!(ledger.admit(permit, more).err(), wanted, "{ledger:?} {more}");
                if wanted.is_none() {
                    *bytes += more;
                }
            }
            Deed::Tighten(bytes) => ledger.tighten(bytes),
            Deed::Promote(at) => {
                let Some(at) = place(at) else { return };
                ledger.promote(&mut self.permits[at].0);
                self.permits[at].2 = Account::Reserve;
            }
            Deed::Release(at) => {
                let Some(at) = place(at) else { return };
                ledger.release(self.permits.swap_remove(at).0);
            }
        }
    }

    fn check(&self, ledger: &Ledger) {
        for (permit, bytes, account) in &self.permits {
            assert_eq!((permit.bytes(), permit.account), (*bytes, *account));
        }
        assert_eq!(ledger.booked() + ledger.overweight(), self.sum(), "every byte is somewhere");
        assert!(ledger.booked() <= 100, "the line is crossed: {ledger:?}");
        assert!(ledger.common <= 60 && ledger.reserve <= 40, "an account is overdrawn: {ledger:?}");
    }
}

proptest! {
    #[test]
    fn a_ledger_agrees_with_a_plain_list_of_permits(deeds in prop::collection::vec(deed(), 0..60)) {
        let mut ledger = Ledger::new(100, 40);
        let mut model = Model::default();
        for deed in deeds {
            model.act(&mut ledger, deed);
            model.check(&ledger);
        }
        model.permits.drain(..).for_each(|(permit, ..)| ledger.release(permit));
        prop_assert_eq!((ledger.booked(), ledger.overweight()), (0, 0));
    }
}
