// Kafka's protocol in a process of its own, and governance that tells by it.
import { randomUUID } from 'node:crypto';
import { Example } from './example.mjs';

const TOPIC = 'governance.events';

export class Brokers {
  static async start() {
    const example = new Example('brokers', [TOPIC, `${TOPIC}.dlq`, 'cabildo.events']);
    return new Brokers(example, await example.ready);
  }

  constructor(example, servers) {
    this.example = example;
    this.servers = servers;
  }

  /** What a server needs in its environment to act on what governance tells here. */
  get environment() {
    return {
      CABILDO_KAFKA__BROKERS: this.servers,
      CABILDO_KAFKA__SECURITY: 'plaintext',
      CABILDO_KAFKA__GOVERNANCE_TOPIC: TOPIC,
    };
  }

  /** Governance tells of a vote of the session's assembly. */
  async startVote(session, vote) {
    const { tenant_id, assembly_id } = session;
    await this.tell('vote.started.v1', { tenant_id, assembly_id, ...vote });
  }

  async tell(type, data) {
    const source = 'https://governance.example';
    const event = { specversion: '1.0', id: randomUUID(), source, type, data };
    event.datacontenttype = 'application/json';
    const line = `${TOPIC} ${JSON.stringify(event)}`;
    await this.example.tell(line, 'the brokers to have it', (printed) => printed.length > 0);
  }

  stop() {
    return this.example.stop();
  }
}
