import { useId } from 'react';
import { api } from '../api/client.ts';
import type { Topology, TopologyNode, TrunkFlow, TrunkTraffic } from '../api/trunkTypes.ts';
import { Loading } from '../ui/Loading.tsx';
import { ErrorNote } from '../ui/Notes.tsx';
import { durationText } from './format.ts';
import { NetworkMap } from './NetworkMap.tsx';
import {
  bytesText,
  layersText,
  linksText,
  mediaHint,
  mediaReach,
  mediaText,
  nameOf,
  orderOf,
  rateText,
  roleText,
  rttText,
  trackText,
} from './network.ts';
import { useData } from './useData.ts';
import '../styles/network.css';

const REFRESH_MS = 2_000;

/** All servers that can be reached, how they are linked, and what flows over our own links. */
export function NetworkSection() {
  const { value: topology, error } = useData(api.topology, REFRESH_MS);
  const others = topology?.nodes.filter(({ node }) => node !== topology.me) ?? [];
  const alone = others.length === 0 && topology?.links.length === 0;
  return (
    <section className="card stack" aria-label="Network">
      <h2>Network</h2>
      {error !== null && <ErrorNote>{error}</ErrorNote>}
      {topology?.copied === true && (
        <ErrorNote>
          Another server with the id of this one is in the network: its data directory was copied.
          Of both, others only see the people at the one that was started last. Stop one, give it
          another id by <code>umbrella trunk new-id</code>, and start it again.
        </ErrorNote>
      )}
      {topology === null && error === null && <Loading what="panel" />}
      {alone && (
        <p className="hint">
          No other servers yet. Join one below, or allow one to join: then the network is shown
          here.
        </p>
      )}
      {topology !== null && !alone && <Network topology={topology} />}
    </section>
  );
}

function Network({ topology }: { topology: Topology }) {
  const nodes = orderOf(topology.nodes, [], topology.me);
  const reach = mediaReach(topology);
  const cutOff = ({ node, media }: TopologyNode) => media && reach.size > 0 && !reach.has(node);
  return (
    <>
      <NetworkMap topology={topology} />
      <ul className="plain-list" aria-label="Servers of the network">
        {nodes.map((node) => (
          <li key={node.node} className="network-item" data-node={node.node}>
            <strong>{nameOf(node)}</strong>
            <span className="hint">{roleText(node, topology.me)}</span>
            <span>{linksText(node, topology)}</span>
            {cutOff(node) && (
              <span className="state state-wait">No way from here for sound and pictures</span>
            )}
          </li>
        ))}
      </ul>
      {topology.links.length > 0 && <h3>Over the links of this server</h3>}
      {topology.links.map((flow) => (
        <Flow key={flow.node} flow={flow} reach={reach} />
      ))}
    </>
  );
}

/** What flows over one of our own links. */
function Flow({ flow, reach }: { flow: TrunkFlow; reach: Set<string> }) {
  const { text, tone } = mediaText(flow);
  const hint = mediaHint(flow, reach);
  const facts: [string, string][] = [
    ...(flow.introducer === null ? [] : [['Put in touch by', flow.introducer] as [string, string]]),
    ['Round trip of messages', rttText(flow.rttMs) ?? '–'],
    ['Round trip of media', rttText(flow.mediaRttMs) ?? '–'],
    ['Carries at most', flow.estimate === null ? 'not known yet' : rateText(flow.estimate)],
    ['Received', trafficText(flow.received)],
    ['Sent', trafficText(flow.sent)],
    ['Demand has changed', changedText(flow.demandChangedS)],
  ];
  return (
    <details className="network-flow" data-testid="trunk-flow">
      <summary>
        <strong>{nameOf(flow)}</strong> <span className={`state state-${tone}`}>{text}</span>{' '}
        <span className="hint network-rates">
          in {rateText(flow.received.bitrate)} · out {rateText(flow.sent.bitrate)}
        </span>
      </summary>
      {hint !== null && <p className="hint">{hint}</p>}
      <dl className="facts">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <Tracks title="Tracks that come" traffic={flow.received} />
      <Tracks title="Tracks that go" traffic={flow.sent} />
    </details>
  );
}

function Tracks({ title, traffic }: { title: string; traffic: TrunkTraffic }) {
  const id = useId();
  const { count, tracks } = traffic;
  return (
    <div>
      <h4 id={id}>
        {title}: {count}
      </h4>
      <ul className="plain-list" aria-labelledby={id}>
        {tracks.map((track) => (
          <li key={track.id} className="network-item">
            <span>{trackText(track)}</span>
            <span className="hint">
              {track.room === '' ? '' : `${track.room} · `}
              {layersText(track)}
            </span>
          </li>
        ))}
      </ul>
      {count > tracks.length && <p className="hint">and {count - tracks.length} more</p>}
    </div>
  );
}

function trafficText({ bytes, packets }: TrunkTraffic): string {
  return `${bytesText(bytes)} in ${packets} packets`;
}

function changedText(seconds: number | null): string {
  return seconds === null ? 'never' : `${durationText(seconds)} ago`;
}
