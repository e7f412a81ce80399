//! When a session reads and writes: as often as its actor runs, and as much as its client takes.

use std::{
    pin::Pin,
    task::{self, Poll, ready},
};

use actix::{ActorContext, ActorFuture, AsyncContext, Context};

use super::{HIGH_WATER, Session, State};
use crate::{rooms::link::Fault, wire::browser::Bye};

/// Messages that are read before others get their turn.
const TURN: usize = 16;

impl Session {
    /// Reads a few messages and hands on what was said. Ready when the connection is gone.
    fn pump(&mut self, ctx: &mut Context<Self>, task: &mut task::Context<'_>) -> Poll<()> {
        let mut turns = 0;
        while !matches!(self.state, State::Closed) {
            let Some(link) = &mut self.link else { break };
            if link.backlog() > HIGH_WATER {
                break;
            }
            if turns == TURN {
                task.waker().wake_by_ref();
                break;
            }
            turns += 1;
            match link.poll_hear(task) {
                Poll::Pending => break,
                Poll::Ready(Ok(heard)) => self.hear(heard, ctx),
                Poll::Ready(Err(Fault::Gone)) => {
                    ctx.stop();
                    return Poll::Ready(());
                }
                Poll::Ready(Err(fault)) => {
                    tracing::debug!(socket = self.socket, %fault, "a socket breaks the protocol");
                    self.bye(Bye::Hostile, "frames no client of ours sends", ctx);
                }
            }
        }
        match self.flush(ctx, task) {
            Poll::Pending if !ctx.waiting() => ctx.wait(Drain),
            _ => {}
        }
        Poll::Pending
    }

    /// Ready when the system has taken all that was said, or the connection is gone.
    fn flush(&mut self, ctx: &mut Context<Self>, task: &mut task::Context<'_>) -> Poll<()> {
        if let Some(link) = &mut self.link
            && ready!(link.poll_flush(task)).is_err()
        {
            ctx.stop();
        }
        Poll::Ready(())
    }
}

/// Reads and writes whenever the actor runs.
pub(super) struct Pump;

impl ActorFuture<Session> for Pump {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        session: &mut Session,
        ctx: &mut Context<Session>,
        task: &mut task::Context<'_>,
    ) -> Poll<()> {
        session.pump(ctx, task)
    }
}

/// Holds everything else up until the client has taken what waits for it: messages stay in
/// the mailbox, whose senders find it full, and nothing is read.
pub(super) struct Drain;

impl ActorFuture<Session> for Drain {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        session: &mut Session,
        ctx: &mut Context<Session>,
        task: &mut task::Context<'_>,
    ) -> Poll<()> {
        ready!(session.flush(ctx, task));
        session.heed(ctx);
        Poll::Ready(())
    }
}
