import type { Topology } from '../api/trunkTypes.ts';
import { type Line, layout, MAP, nameOf, type Place, rttText, shortName } from './network.ts';

/** Servers and their links as a picture. All it says is in the list below it as well. */
export function NetworkMap({ topology }: { topology: Topology }) {
  const { places, lines } = layout(topology);
  // Two servers need no circle.
  const top = places.length === 2 ? MAP.height / 2 - 60 : 0;
  const height = places.length === 2 ? 120 : MAP.height;
  return (
    <div className="network-map" aria-hidden="true">
      <svg viewBox={`0 ${top} ${MAP.width} ${height}`} focusable="false">
        <title>Map of the network</title>
        {lines.map((line) => (
          <LinkLine key={`${line.edge.a} ${line.edge.b}`} line={line} />
        ))}
        {lines.map((line) => (
          <LinkLabel key={`${line.edge.a} ${line.edge.b}`} line={line} />
        ))}
        {places.map((place) => (
          <Server key={place.node.node} place={place} me={topology.me} />
        ))}
      </svg>
      <p className="hint network-legend">
        <Mark kind="me" /> this server
        <Mark kind="media" /> other server
        <Mark kind="messages" /> messages only
        <Mark kind="line" /> link
        <Mark kind="dashed" /> link without media
      </p>
    </div>
  );
}

function LinkLine({ line: { edge, from, to, faint } }: { line: Line }) {
  return (
    <line
      className={`network-link ${edge.media ? '' : 'no-media'} ${faint ? 'faint' : ''}`}
      x1={from.x}
      y1={from.y}
      x2={to.x}
      y2={to.y}
    />
  );
}

function LinkLabel({ line: { edge, label } }: { line: Line }) {
  const text = rttText(edge.rttMs);
  if (label === null || text === null) return null;
  const width = 8 * text.length + 6;
  const gap = { x: label.x - width / 2, y: label.y - 9, width };
  return (
    <>
      <rect className="network-gap" {...gap} height={18} />
      <text className="network-rtt" x={label.x} y={label.y + 4} textAnchor="middle">
        {text}
      </text>
    </>
  );
}

function Server({ place, me }: { place: Place; me: string }) {
  const { node, x, y, label } = place;
  const size = MAP.node;
  const kind = node.node === me ? 'network-node me' : 'network-node';
  return (
    <g>
      {node.media ? (
        <circle className={kind} cx={x} cy={y} r={size} />
      ) : (
        <rect
          className={`${kind} messages`}
          x={x - size}
          y={y - size}
          width={2 * size}
          height={2 * size}
          rx={3}
        />
      )}
      <text className="network-name" x={label.x} y={label.y} textAnchor={label.anchor}>
        {shortName(nameOf(node))}
      </text>
    </g>
  );
}

function Mark({ kind }: { kind: 'me' | 'media' | 'messages' | 'line' | 'dashed' }) {
  return (
    <svg className="network-mark" viewBox="0 0 24 16" focusable="false" aria-hidden="true">
      {kind === 'line' && <line className="network-link" x1={1} y1={8} x2={23} y2={8} />}
      {kind === 'dashed' && <line className="network-link no-media" x1={1} y1={8} x2={23} y2={8} />}
      {kind === 'me' && <circle className="network-node me" cx={12} cy={8} r={6} />}
      {kind === 'media' && <circle className="network-node" cx={12} cy={8} r={6} />}
      {kind === 'messages' && (
        <rect className="network-node messages" x={6} y={2} width={12} height={12} rx={2} />
      )}
    </svg>
  );
}
