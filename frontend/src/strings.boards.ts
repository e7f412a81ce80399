/** What the page of the leaderboards says. */
import type { Boards } from './wire/Boards';

export const boards = {
  boards: {
    link: 'The boards',
    title: 'The boards',
    lead: 'Who passes for a person, and who sees through it. Every game that came to a verdict counts.',
    loading: 'The boards are being brought…',
    failed: 'The boards cannot be read now.',
    again: 'Try again',
    each: {
      people: {
        title: 'People',
        text: 'Won as witnesses: what the game asked for was believed.',
        none: 'Nobody has played to a verdict yet. Take a seat and be the first.',
      },
      machines: {
        title: 'Machines',
        text: 'Won as witnesses, in the same games.',
        none: 'No machine has been judged yet.',
      },
      judges: {
        title: 'Judges',
        text: 'Named a human, and were right: everybody who voted, and the AI.',
        none: 'Nobody has judged yet. Open a table where everybody votes.',
      },
    } satisfies Record<keyof Boards, { title: string; text: string; none: string }>,
    place: 'Place',
    who: 'Who',
    share: 'Won',
    between: '95 % sure between',
    games: 'Games',
    range: (low: string, high: string) => `${low} and ${high}`,
    you: 'you',
    machine: 'a machine',
    hint: 'Places go by the lower end of what one can be 95 % sure of (Wilson’s interval): one lucky game does not lead.',
    eraseTitle: 'Your name on the boards',
    eraseText:
      'The boards keep the name you chose and your results, never your session. Without a name you are on none.',
    erase: 'Take my name off the boards',
    erasing: 'Your name is being rubbed out…',
    eraseAsk: 'Take your name off the boards?',
    eraseAskText:
      'Everything that was counted for you is erased for good. Games that you play later count anew.',
    eraseYes: 'Erase it',
    cancel: 'Cancel',
    erased: 'Your name is off the boards.',
    nothing: 'You are on no board.',
    eraseFailed: 'That did not work. Try again.',
  },
};
