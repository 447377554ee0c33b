// Decisions about one person, one after the other: each mutes or unmutes, and none is
// like the one before, so that what is stored shows which of them happened.
import assert from 'node:assert/strict';
import { until } from './until.mjs';

export class Decisions {
  /** `channel` is a moderator's, `person` the id of whom it mutes. */
  constructor(channel, person) {
    this.channel = channel;
    this.person = person;
    /** Kinds of the events of decisions that were acknowledged, in order. */
    this.taken = [];
    this.refused = 0;
  }

  /** Asks for what was not decided last. */
  ask() {
    const type = this.taken.at(-1) === 'user_muted' ? 'unmute_user' : 'mute_user';
    const id = (this.channel.lastId += 1);
    this.channel.send({ type, user_id: this.person, id });
    const about = () => this.channel.messages.filter(({ ref }) => ref === id);
    const answer = () => about().find(({ type: kind }) => kind !== 'pending');
    const isPending = () => about().length > 0 && !answer();
    return { type, answer, isPending };
  }

  /** Keeps what became of a decision, and answers whether it was taken. */
  settle({ type, answer }) {
    if (answer().type === 'ack') {
      this.taken.push(type === 'mute_user' ? 'user_muted' : 'user_unmuted');
      return true;
    }
    assert.equal(answer().code, 'DEPENDENCY_UNAVAILABLE', JSON.stringify(answer()));
    this.refused += 1;
    return false;
  }

  /** Asks, and waits for what becomes of it. */
  async decide(what) {
    const decision = this.ask();
    await until(`${what}: an answer`, decision.answer);
    return this.settle(decision);
  }
}
