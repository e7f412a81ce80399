/** Everything the pages say. One language for now; another is another object of this shape. */
import { roman } from './numerals';
import { boards } from './strings.boards';
import { table } from './strings.table';
import type { Bye } from './wire/Bye';
import type { Ending } from './wire/Ending';
import type { Kind } from './wire/Kind';
import type { Mode } from './wire/Mode';
import type { RefusalCode } from './wire/RefusalCode';
import type { Seat } from './wire/Seat';

const en = {
  name: 'Parlour',
  skip: 'Skip to the page',
  scene: {
    empty: 'A candle stands between two paper screens. Behind each one sits a witness.',
    game: (round: number, cap: number) => `Round ${round} of ${cap}.`,
    hood: 'The flame stands still under a glass hood: you cannot see what the judge believes.',
    even: 'The flame stands upright: the judge leans to neither side.',
    lean: (seat: Seat, percent: number) =>
      `The flame leans toward ${seat}: the judge gives ${percent} % to ${seat} being the human.`,
    lifted: (person: Seat, automaton: Seat) =>
      `The screens are up. Behind ${person} sat the person, behind ${automaton} the automaton.`,
    you: 'you',
  },
  lobby: {
    title: 'The imitation game',
    lead: 'Two witnesses sit behind paper screens, you and a machine, and a judge questions both. After five rounds at most, the judge has to say which one of you is human.',
    how: 'How it works',
    nameLabel: 'Your name',
    nameHint:
      'Optional. It goes on the record of the game and on the boards; the judge never sees it.',
    kind: 'What will you play?',
    kinds: {
      direct: {
        title: 'Be yourself',
        text: 'Both witnesses claim to be human. You are telling the truth. Be believed.',
      },
      inverse: {
        title: 'Be the machine',
        text: 'Both witnesses claim to be the machine. The machine helps the judge. Fool them both.',
      },
    } satisfies Record<Kind, { title: string; text: string }>,
    mode: 'How much will you see?',
    modes: {
      explanatory: {
        title: 'By candlelight',
        text: 'You hear the other witness before you answer, and the judge thinks aloud.',
      },
      blind: {
        title: 'Blind',
        text: 'A glass hood over the flame. You learn everything at the end, and nothing before.',
      },
    } satisfies Record<Mode, { title: string; text: string }>,
    sit: 'Take your seat',
    sitting: 'A seat is being laid…',
    openRoom: 'Your game is still open. The judge has kept your seat.',
    comeBack: 'Come back to your game',
    orNew: 'Taking a new seat gives that one up.',
    record: 'Your evenings so far',
    games: 'Games',
    wins: 'Won',
    mean: 'Mean score',
    recordHint: 'Kept in this browser only.',
  },
  how: {
    title: 'How an evening goes',
    steps: [
      [
        'The seats are drawn.',
        'You and the machine become witness A and witness B, in an order that is drawn at random. The judge is a machine as well, and does not know the draw.',
      ],
      [
        'The judge asks.',
        'One question to both. You type your answer; so does the other witness, in its own time.',
      ],
      [
        'The judge weighs.',
        'Reasoning, a decision, and a confidence from 50 to 100 %. The flame leans toward the witness taken for the human; the wax burns down by one round.',
      ],
      [
        'The screens lift.',
        'At 80 % confidence, or after five rounds. Your score is how much the judge believed what you wanted believed, averaged over all rounds.',
      ],
    ] as const,
  },
  connection: {
    connecting: 'Calling the house…',
    open: 'The house is open',
    waiting: 'The house does not answer. Trying again…',
    full: 'Every seat in the house is taken. Waiting for one to become free…',
    lost: 'The line went dead; coming back…',
    retry: 'Try now',
  },
  play: {
    title: 'Your game',
    round: (round: number, cap: number) => `Round ${roman(round)} of ${roman(cap)}`,
    roundPlain: (round: number, cap: number) => `Round ${round} of ${cap}`,
    roundHeading: (round: number) => `Round ${roman(round)}`,
    kinds: { direct: 'Be yourself', inverse: 'Be the machine' } satisfies Record<Kind, string>,
    modes: { explanatory: 'by candlelight', blind: 'blind' } satisfies Record<Mode, string>,
    transcript: 'Transcript',
    judge: 'The judge',
    witness: (seat: Seat) => `Witness ${seat}`,
    you: 'you',
    youAre: (seat: Seat) => `You sit behind screen ${seat}.`,
    goal: {
      direct: 'Make the judge believe that you are the human.',
      inverse: 'Make the judge believe that you are the machine.',
    } satisfies Record<Kind, string>,
    veiledAnswer: 'has answered. You will read it when the screens lift.',
    veiledVerdict: 'The judge has made a note, and turned it face down.',
    reasoning: 'The judge thinks aloud',
    belief: (seat: Seat, confidence: number) => `${seat} is the human: ${confidence} %`,
    doing: {
      judge_asks: 'The judge is thinking of a question…',
      your_turn: 'Your turn',
      other_first: 'The other witness speaks first…',
      other_still: 'You have answered. The other witness is still writing…',
      judge_weighs: 'The judge is weighing both answers…',
      waits_for_model:
        'The judge has stepped out for a moment. Your game is kept; it goes on by itself.',
      over: 'The game is over.',
    },
    answerLabel: 'Your answer',
    placeholder: 'Write as you would…',
    placeholderInverse: 'Write as a machine would…',
    send: 'Send',
    sending: 'Sending…',
    count: (used: number, limit: number) => `${used} of ${limit} characters`,
    tooLong: (by: number) => `${by} too many`,
    keys: 'Enter sends, Shift + Enter begins a new line',
    reasons: {
      empty: 'Write something first.',
      tooLong: 'Your answer is too long.',
      wait: 'You can send when the other witness has answered. You may write already.',
      question: 'You can send when the judge has asked.',
      weighing: 'The judge is weighing. The next question comes soon.',
      answered: 'You have answered this round.',
      offline: 'You can send when the line is back. Your words are kept.',
      model: 'You can send when the judge is back.',
    },
    letGo: (seconds: number) => `You will be let go in ${seconds} s`,
    stop: 'Stop',
    stopTitle: 'Leave the table?',
    stopText: 'The game ends without a verdict, and it does not count.',
    stopYes: 'Stop the game',
    stopNo: 'Stay seated',
    back: 'Back in your seat.',
  },
  verdict: {
    heading: 'The verdict',
    noVerdict: 'The end of the game',
    direct: {
      player: 'You were believed',
      bot: 'The machine was believed',
    },
    inverse: {
      player: 'You passed for the machine',
      bot: 'You were found out',
    },
    nobody: 'The judge would not say',
    unfinished: {
      stopped: 'You got up from the table',
      idle: 'The candle burned down without you',
      broken: 'The judge could not go on',
    },
    sat: (person: Seat, automaton: Seat) =>
      `Behind screen ${person} sat the person; behind screen ${automaton}, the automaton.`,
    endings: {
      convinced: 'The judge was confident enough to stop asking.',
      rounds_over: 'The rounds ran out and the judge had to say.',
      abstained: 'The rounds ran out and the judge was not sure enough of either.',
      stopped: 'There is no verdict, and the game does not count.',
      idle: 'Nothing was heard from you for too long, so the game was ended. It does not count.',
      broken:
        'A model that the game needs kept failing. This is not your doing, and the game does not count.',
    } satisfies Record<Ending, string>,
    score: 'Your score',
    playerScore: 'The player’s score',
    outOf: 'of 100',
    scoreHint: {
      direct: 'The judge’s mean belief, over all rounds, that you are the human.',
      inverse: 'The judge’s mean belief, over all rounds, that you are the machine.',
    } satisfies Record<Kind, string>,
    chart: 'What the judge believed',
    chartHint:
      'The smoke of the evening: it drifts toward the witness taken for the human, from the first round at the top down to the flame.',
    chartLabel: (text: string) => `Belief after each round. ${text}`,
    chartPoint: (round: number, seat: Seat, percent: number) =>
      `Round ${round}: ${percent} % that ${seat} is the human.`,
    table: 'The same as a table',
    tableRound: 'Round',
    tableBelief: (seat: Seat) => `${seat} is the human`,
    transcript: 'What was said',
    grounds: 'How this verdict came about',
    groundsText:
      'Every verdict is computed twice, with either witness read first. Surprise says how unexpected an answer was to the judge’s model, in nats per token.',
    aFirst: 'A is the human, with A read first',
    bFirst: 'A is the human, with B read first',
    surprise: (seat: Seat) => `Surprise of ${seat}’s answer`,
    notGiven: 'not given',
    again: 'Play again',
    change: 'Change the game',
    share: 'Share this game',
    copied: 'The link is in your clipboard.',
    copyFailed: 'Copy this link:',
    seed: 'Seed',
  },
  replay: {
    title: 'A game that was played',
    of: (player: string) => `${player} at the table`,
    anonymous: 'A guest at the table',
    loading: 'Looking through the records…',
    step: (round: number, rounds: number) =>
      round > rounds ? 'The verdict' : `Round ${round} of ${rounds}`,
    previous: 'Earlier',
    next: 'Later',
    keys: 'The arrow keys step through the rounds.',
    steps: 'Step through the game',
    played: (when: string) => `Played on ${when}`,
    missingTitle: 'There is no such game',
    missingText:
      'Either the link is wrong, or the game is not finished yet, or it has been forgotten: finished games are kept for a while only.',
    failedTitle: 'The record cannot be read',
    failedText: 'The server did not answer as it should. Your link may still be right.',
    retry: 'Try again',
    home: 'To the parlour',
  },
  trouble: {
    dismissed: {
      restarting: { title: 'The house is closing for a moment', text: 'Come back shortly.' },
      too_slow: { title: 'The line was too slow', text: 'Come back when it is better.' },
      silent: { title: 'Nothing was heard from you', text: 'Your seat may still be yours.' },
      full: { title: 'Every seat is taken', text: 'Come back a little later.' },
      moved: { title: 'Your table was moved', text: 'Come back to it.' },
      old_client: {
        title: 'This page is older than the house',
        text: 'The server has been renewed since you opened it. Load the page again.',
      },
      hostile: {
        title: 'The house hung up',
        text: 'It heard something that this page should never say. Load the page again.',
      },
      elsewhere: {
        title: 'You took your seat elsewhere',
        text: 'This game was opened in another window, and that one has the seat now.',
      },
    } satisfies Record<Bye, { title: string; text: string }>,
    reload: 'Load the page again',
    takeBack: 'Play here instead',
    refusals: {
      malformed: 'The server did not understand that.',
      not_now: 'That cannot be done now.',
      full_house: 'Every room is taken. Try again in a little while.',
      no_such_room: 'There is no such game.',
      not_yours: 'That is somebody else’s seat.',
      too_fast: 'That was too fast. Wait a moment and try again.',
      locked: 'A password opens this door.',
      trouble: 'Something failed on the server. Nothing was lost; try again.',
    } satisfies Record<RefusalCode, string>,
    lost: 'The line went dead before the server answered. Try again.',
    noRoomTitle: 'There is no seat for you here',
    noRoomText:
      'The game is over and forgotten, or the seat belongs to another browser. If it was finished, its replay may be there.',
    toReplay: 'Look for the replay',
    home: 'To the parlour',
  },
  say: {
    question: (text: string) => `The judge asks: ${text}`,
    answer: (seat: Seat, text: string) => `Witness ${seat} says: ${text}`,
    yourTurn: 'Your turn.',
    judged: (seat: Seat, percent: number, reasoning: string) =>
      `The judge gives ${percent} % to ${seat} being the human. ${reasoning}`,
    ended: (text: string) => `The game is over. ${text}.`,
  },
  ...table,
  ...boards,
};

export type Strings = typeof en;
export const t: Strings = en;
