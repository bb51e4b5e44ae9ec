//! [`Lent`]: pages of RAM to which a disk or the program may write at the moment.
//!
//! A disk fills pages without a copy, in a thread that does not hold the CPU; the program
//! may write to a [`Buffer`](crate::Buffer) at any time. Such a page must not be moved,
//! since data that is written during the move would be lost.

use super::layout::PAGE;
use std::ops::Range;

/// Who may write to a lent page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Borrower {
    /// A disk request, which ends by itself.
    Disk,
    /// The program, until it is done with its buffer.
    Program,
}

/// The number of a loan, for [`Lent::end`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "ends when it is given back"]
pub(crate) struct Loan(u64);

/// The pages that are lent. A page may be in several loans.
#[derive(Debug, Default)]
pub(super) struct Lent {
    /// Page numbers.
    loans: Vec<(u64, Borrower, Range<usize>)>,
    last: u64,
}

impl Lent {
    /// Lends the pages of `ranges`, which are in bytes.
    pub(super) fn begin(
        &mut self,
        borrower: Borrower,
        ranges: impl Iterator<Item = Range<usize>>,
    ) -> Loan {
        self.last += 1;
        let id = self.last;
        self.loans.extend(ranges.map(|range| {
            let pages = range.start / PAGE..range.end.div_ceil(PAGE);
            (id, borrower, pages)
        }));
        Loan(id)
    }

    /// Ends `loan`: its borrower does not write to the pages any more.
    pub(super) fn end(&mut self, loan: Loan) {
        self.loans.retain(|(id, ..)| *id != loan.0);
    }

    /// Who may write to `page`. If both a disk and the program may, returns
    /// [`Borrower::Disk`], whose loan ends by itself.
    pub(super) fn borrower(&self, page: usize) -> Option<Borrower> {
        let of_page = self
            .loans
            .iter()
            .filter(|(.., pages)| pages.contains(&page));
        let borrowers = of_page.map(|(_, borrower, _)| *borrower);
        borrowers.min_by_key(|&borrower| borrower != Borrower::Disk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::iter;

    #[test]
    fn a_page_is_lent_until_its_last_loan_ends() {
        let mut lent = Lent::default();
        let program = lent.begin(Borrower::Program, iter::once(0..PAGE + 1));
        let disk = lent.begin(
            Borrower::Disk,
            [PAGE + 8..PAGE + 9, 5 * PAGE..6 * PAGE].into_iter(),
        );
        let borrowers = |lent: &Lent| [0, 1, 2, 5].map(|page| lent.borrower(page));
        let (d, p) = (Some(Borrower::Disk), Some(Borrower::Program));
        assert_eq!(borrowers(&lent), [p, d, None, d]);
        lent.end(disk);
        assert_eq!(borrowers(&lent), [p, p, None, None]);
        lent.end(program);
        assert_eq!(borrowers(&lent), [None; 4]);
    }
}
