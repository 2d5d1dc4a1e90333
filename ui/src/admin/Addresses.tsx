/** Names or addresses, each as it is typed. */
export function Addresses(props: { title: string; addresses: string[]; link?: boolean }) {
  return (
    <div>
      <h3>{props.title}</h3>
      {props.addresses.length === 0 && <p className="hint">None.</p>}
      <ul className="addresses">
        {props.addresses.map((address) => (
          <li key={address}>
            {props.link === true ? <a href={address}>{address}</a> : <code>{address}</code>}
          </li>
        ))}
      </ul>
    </div>
  );
}
