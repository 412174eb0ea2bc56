//! When a job may compute: models ask here before each window and before each piece of one, and whoever runs several jobs
//! answers.

use crate::{CancelFlag, Error};

/// What somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The first words, of a clip, a recording or a text.
    First,
    /// What comes after the first window of a recording.
    Rest,
}

/// Paces a thread of a job. Called on that thread.
pub trait Pace {
    /// The pace of another thread of the job, which computes windows of its own.
    fn another(&self) -> Box<dyn Pace + Send + '_> {
        Box::new(Unpaced)
    }

    /// A window of at most 30 s, `start_s` seconds into the recording, is about to be computed. May block until there is
    /// room for it beside others: as long as all of them together fill at most one `share`, their steps are better
    /// computed together than one after the other.
    fn window_begins(&self, start_s: f64, share: Share) {
        let _ = (start_s, share);
    }

    /// What the window that has begun is computed for. Only windows with equal claims share their steps: a step is computed in
    /// somebody's turn, and the others' part of it would be at their expense.
    fn claim(&self) -> Claim {
        Claim::First
    }

    /// The window that [`Pace::window_begins`] announced is done, also when it failed.
    fn window_ends(&self) {}

    /// A piece of a window is about to be computed: a product of the encoder, a step of the decoder, some milliseconds. May
    /// block until it is this job's turn, or until `is_needless`, because another job did the work along with its own.
    fn piece_begins(&self, is_needless: &dyn Fn() -> bool) {
        let _ = is_needless;
    }

    /// The piece that [`Pace::piece_begins`] announced is done, also when it failed.
    fn piece_ends(&self) {}

    /// A step of the decoder is about to be computed in this job's turn, of so many rows, other jobs' among them.
    fn step(&self, rows: usize) {
        let _ = rows;
    }
}

/// How much of a model's shared step a window takes, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(pub usize);

impl Share {
    /// All of it.
    pub const WHOLE: Self = Self(1000);

    /// `part` of `whole`, at most all of it.
    pub fn of(part: usize, whole: usize) -> Self {
        Self((1000 * part).div_ceil(whole.max(1)).min(Self::WHOLE.0))
    }
}

/// The pace of a job that has the processor for itself.
#[derive(Clone, Copy, Debug)]
pub struct Unpaced;

impl Pace for Unpaced {}

/// What a job heeds while it computes.
#[derive(Clone, Copy)]
pub struct Control<'a> {
    /// Whether it should stop.
    pub cancel: &'a CancelFlag,
    /// When it may go on.
    pub pace: &'a dyn Pace,
}

impl<'a> Control<'a> {
    /// Control of a job that has the processor for itself.
    pub fn unpaced(cancel: &'a CancelFlag) -> Self {
        Self { cancel, pace: &Unpaced }
    }

    /// Waits until there is room for a window.
    ///
    /// # Errors
    /// [`Error::Cancelled`]: who was cancelled while waiting must not compute.
    pub fn window(self, start_s: f64, share: Share) -> Result<WindowTurn<'a>, Error> {
        self.pace.window_begins(start_s, share);
        let turn = WindowTurn(self.pace);
        self.cancel.check()?;
        Ok(turn)
    }

    /// Waits for the turn to compute a piece.
    ///
    /// # Errors
    /// As [`Control::window`].
    pub(crate) fn piece(self) -> Result<PieceTurn<'a>, Error> {
        let turn = self.piece_unless(&|| false);
        self.cancel.check()?;
        Ok(turn)
    }

    /// Waits for the turn to compute a piece; returns without it once cancelled or if `is_needless`.
    pub(crate) fn piece_unless(self, is_needless: &dyn Fn() -> bool) -> PieceTurn<'a> {
        self.pace.piece_begins(is_needless);
        PieceTurn(self.pace)
    }
}

/// Between [`Pace::window_begins`] and [`Pace::window_ends`]; the latter is told when this is dropped.
pub struct WindowTurn<'a>(&'a dyn Pace);

impl Drop for WindowTurn<'_> {
    fn drop(&mut self) {
        self.0.window_ends();
    }
}

/// Between [`Pace::piece_begins`] and [`Pace::piece_ends`].
pub(crate) struct PieceTurn<'a>(&'a dyn Pace);

impl Drop for PieceTurn<'_> {
    fn drop(&mut self) {
        self.0.piece_ends();
    }
}
