//! Every key of the configuration with what it means: the one source of `umbrella config
//! --print-defaults`, of `docs/configuration.md`, of the environment's names, and of what is
//! accepted in `umbrella.toml`. Defaults are those of [`super::file::FileConfig`].

/// What a value looks like, in the file and in the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A string.
    Text,
    /// `true` or `false`; in the environment also `1`, `0`, `yes`, `no`, `on`, `off`.
    Switch,
    /// A whole number, 0 or more.
    Number,
    /// A list of strings; in the environment separated by commas or white space.
    List,
    /// A table of strings; in the environment `name: value`, separated by commas or new lines.
    Pairs,
    /// A list of tables with these fields; in the environment written as in the file.
    Tables(&'static [Column]),
}

impl Kind {
    /// For people.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Text => "a string in quotes",
            Self::Switch => "true or false",
            Self::Number => "a whole number, 0 or more",
            Self::List => "a list of strings, like [\"a\", \"b\"]",
            Self::Pairs => "a table of strings, like { name = \"value\" }",
            Self::Tables(_) => "a list of tables, like [{ name = \"value\" }]",
        }
    }
}

/// One field of a table in a list, with what it holds. Optional unless the documentation says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: ColumnKind,
}

/// What a field of a table in a list looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColumnKind {
    Text,
    Switch,
    List,
}

/// When a change of a key counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// After a reload, at once.
    Reload,
    /// After a reload, for rooms that begin then.
    NewRooms,
    /// After a reload, for clients that come then.
    NewClients,
    /// Only after a restart.
    Restart,
}

impl Effect {
    /// For people.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Reload => "at once by a reload",
            Self::NewRooms => "by a reload, for rooms that begin afterwards",
            Self::NewClients => "by a reload, for clients that come afterwards",
            Self::Restart => "after a restart",
        }
    }
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) env: &'static str,
    pub(super) kind: Kind,
    pub(super) doc: &'static str,
    pub(super) effect: Effect,
}

impl Key {
    /// A change counts earlier than after a restart.
    const fn when(mut self, effect: Effect) -> Key {
        self.effect = effect;
        self
    }

    /// Its section is no table of keys, but a list, and this is what is to be said of it.
    pub(super) fn is_section(&self) -> bool {
        self.name.is_empty()
    }
}

/// Keys that belong together.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) name: &'static str,
    pub(super) doc: &'static str,
    pub(super) keys: &'static [Key],
}

const fn key(name: &'static str, env: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key {
        name,
        env,
        kind,
        doc,
        effect: Effect::Restart,
    }
}

use Kind::{List, Number, Pairs, Switch, Tables, Text};

/// The whole configuration, in the order in which it is printed.
pub(super) const SECTIONS: &[Section] = &[
    Section {
        name: "server",
        doc: "The server as a whole.",
        keys: SERVER,
    },
    Section {
        name: "http",
        doc: "Where the page, the API and the signalling are served.",
        keys: HTTP,
    },
    Section {
        name: "tls",
        doc: "Certificates. Not used in cloud mode. See docs/tls.md.",
        keys: TLS,
    },
    Section {
        name: "acme",
        doc: "A certificate of a public authority such as Let's Encrypt, got and renewed by the \
              server. See docs/tls.md.",
        keys: ACME,
    },
    Section {
        name: "media",
        doc: "Where audio, video and data go.",
        keys: MEDIA,
    },
    Section {
        name: "turn",
        doc: "Relays for clients that reach neither UDP nor TCP of [media]. See docs/turn.md.",
        keys: TURN,
    },
    Section {
        name: "rooms",
        doc: "How rooms come and go.",
        keys: ROOMS,
    },
    Section {
        name: "auth",
        doc: "Who may issue access tokens.",
        keys: AUTH,
    },
    Section {
        name: "metrics",
        doc: "Figures for Prometheus at /metrics. See docs/metrics.md.",
        keys: METRICS,
    },
    Section {
        name: "webhook",
        doc: "Applications that are told what happens in rooms. See docs/webhooks.md.",
        keys: WEBHOOK,
    },
    Section {
        name: "trunk",
        doc: "Other servers with which rooms are shared. See docs/trunks.md.",
        keys: TRUNK,
    },
    Section {
        name: "mdns",
        doc: "Being found, and finding others, on the local network. Not used in cloud mode. See \
              docs/mdns.md.",
        keys: MDNS,
    },
    Section {
        name: "limits",
        doc: "What one client, or all of them, may ask for. 0 is unbounded only where it is said.",
        keys: LIMITS,
    },
    Section {
        name: "camera",
        doc: "Cameras in rooms, each in a table [[camera]]. See docs/cameras.md.",
        keys: CAMERA,
    },
];

const SERVER: &[Key] = &[
    key("name", "UMBRELLA_NAME", Text, "Shown in the page's head.").when(Effect::Reload),
    key(
        "data_dir",
        "UMBRELLA_DATA_DIR",
        Text,
        "Directory of the database, the certificates and the socket of the subcommands; made with \
         mode 0700 if it does not exist. Empty: /var/lib/umbrella for root, otherwise \
         $XDG_STATE_HOME/umbrella or ~/.local/state/umbrella.",
    ),
    key(
        "cloud",
        "UMBRELLA_CLOUD",
        Switch,
        "Serve plain HTTP for a reverse proxy in front that ends TLS.",
    ),
    key(
        "log",
        "UMBRELLA_LOG",
        Text,
        "What is logged to standard error: error, warn, info or debug, or a filter such as \
         \"info,umbrella_server::http=debug\".",
    )
    .when(Effect::Reload),
];

const HTTP: &[Key] = &[
    key(
        "listen",
        "UMBRELLA_HTTP_SERVE_ADDR",
        Text,
        "Address and TCP port, as \":8081\" (all addresses), \"127.0.0.1:8081\" or \"[::1]:8081\".",
    ),
    key(
        "prefix",
        "UMBRELLA_HTTP_PREFIX",
        Text,
        "Path below which everything is served, as \"/umbrella\". A proxy in front must not strip \
         it.",
    ),
    key(
        "public_host",
        "UMBRELLA_PUBLIC_HOST",
        Text,
        "Name, or name and port, under which people reach the page from outside, as \
         \"meet.example.org\". Used in links and in the certificate that the server makes. Empty: the \
         first of acme.domains, if there is one.",
    ),
    key(
        "trusted_proxies",
        "UMBRELLA_TRUSTED_PROXIES",
        List,
        "Addresses or networks whose X-Forwarded-For, -Proto and -Host are believed. \"auto\" is \
         loopback and private networks in cloud mode, and nobody otherwise.",
    ),
    key(
        "max_connections",
        "UMBRELLA_HTTP_MAX_CONNECTIONS",
        Number,
        "HTTP connections at a time; further ones wait. At least 16.",
    ),
];

const TLS: &[Key] = &[
    key(
        "certificate",
        "UMBRELLA_TLS_CERTIFICATE",
        Text,
        "File with the certificate chain (PEM), reloaded when it changes. Empty: service.crt in \
         the working directory if it is there, otherwise the server makes its own.",
    ),
    key(
        "private_key",
        "UMBRELLA_TLS_PRIVATE_KEY",
        Text,
        "File with the private key (PEM). Empty: service.key in the working directory.",
    ),
];

const ACME: &[Key] = &[
    key(
        "domains",
        "UMBRELLA_ACME_DOMAINS",
        List,
        "Names for the certificate, as \"meet.example.org\". They must lead to this server, whose \
         http.listen must be reached at port 443 of them. At most 25. Empty: no such certificate.",
    ),
    key(
        "email",
        "UMBRELLA_ACME_EMAIL",
        Text,
        "Where the authority may write to. May be empty.",
    ),
    key(
        "accept_terms",
        "UMBRELLA_ACME_ACCEPT_TERMS",
        Switch,
        "You accept the authority's terms of service. Needed.",
    ),
    key(
        "directory",
        "UMBRELLA_ACME_DIRECTORY",
        Text,
        "\"letsencrypt\"; \"letsencrypt-staging\" for trials, with certificates that browsers do \
         not trust; or the https:// address of another ACME server's directory.",
    ),
    key(
        "ca_file",
        "UMBRELLA_ACME_CA_FILE",
        Text,
        "File (PEM) with authorities by which the ACME server itself is trusted, besides those of \
         the system: for an ACME server of your own.",
    ),
];

const MEDIA: &[Key] = &[
    key(
        "min_port",
        "UMBRELLA_MIN_PORT",
        Number,
        "UDP and TCP port of the first worker; the others use the next ones.",
    ),
    key(
        "max_port",
        "UMBRELLA_MAX_PORT",
        Number,
        "Highest port that a worker may use; ports that are taken are passed over.",
    ),
    key(
        "public_ips",
        "UMBRELLA_PUBLIC_IP",
        List,
        "Addresses under which this machine is reached from outside, if it does not have them \
         itself (NAT, cloud, container). Or who is asked for them by STUN: another Umbrella at one of \
         its media ports, as \"stun:meet.example.org:40000\", or any STUN server; at most 4. \
         Nobody is asked by default. See network.md.",
    ),
    key(
        "advertise_lan",
        "UMBRELLA_ADVERTISE_LAN",
        Switch,
        "Advertise the machine's own addresses too.",
    ),
    key(
        "udp",
        "UMBRELLA_MEDIA_UDP",
        Switch,
        "Advertise UDP. Switch it off only where UDP is known not to pass.",
    ),
    key(
        "tcp",
        "UMBRELLA_MEDIA_TCP",
        Switch,
        "Advertise TCP for clients whose network blocks UDP.",
    ),
    key(
        "workers",
        "UMBRELLA_WORKERS",
        Number,
        "Worker threads, each with its own port. 0: one for each core.",
    ),
];

const TURN: &[Key] = &[
    key(
        "urls",
        "UMBRELLA_TURN_URLS",
        List,
        "TURN servers that clients are told of, as \"turn:turn.example.org:3478\" or \
         \"turns:turn.example.org:443\"; with ?transport=tcp, over TCP. At most 16. Empty: none.",
    ),
    key(
        "secret",
        "UMBRELLA_TURN_SECRET",
        Text,
        "The secret that the TURN servers know too (coturn's static-auth-secret), at least 16 \
         characters: each client gets credentials of its own made with it.",
    ),
    key(
        "ttl_s",
        "UMBRELLA_TURN_TTL_S",
        Number,
        "Seconds for which credentials made with the secret are valid; at least 3600. Clients get \
         new ones whenever they join or come back.",
    ),
    key(
        "username",
        "UMBRELLA_TURN_USERNAME",
        Text,
        "Instead of a secret: a user that the TURN servers know. All clients learn it and its \
         password.",
    ),
    key(
        "password",
        "UMBRELLA_TURN_PASSWORD",
        Text,
        "The password of that user.",
    ),
    key(
        "stun_urls",
        "UMBRELLA_STUN_URLS",
        List,
        "STUN servers that clients are told of, as \"stun:stun.example.org:3478\". At most 16. This \
         server needs none.",
    ),
];

const ROOMS: &[Key] = &[
    key(
        "auto_create",
        "UMBRELLA_ROOMS_AUTO_CREATE",
        Switch,
        "Make a room when the first participant with a valid token joins it.",
    )
    .when(Effect::Reload),
    key(
        "empty_timeout_s",
        "UMBRELLA_ROOMS_EMPTY_TIMEOUT_S",
        Number,
        "Seconds after which a room that nobody has joined is gone.",
    )
    .when(Effect::NewRooms),
    key(
        "departure_timeout_s",
        "UMBRELLA_ROOMS_DEPARTURE_TIMEOUT_S",
        Number,
        "Seconds after which a room is gone when the last participant has left.",
    )
    .when(Effect::NewRooms),
    key(
        "loudest",
        "UMBRELLA_ROOMS_LOUDEST",
        Number,
        "Participants of one room whose sound is forwarded at a time. Of more, the loudest are \
         heard; whoever begins to speak is heard after a fraction of a second. 0: all of them.",
    )
    .when(Effect::Reload),
];

const AUTH: &[Key] = &[key(
    "keys",
    "UMBRELLA_KEYS",
    Pairs,
    "API keys and their secrets, besides those made on the page. A secret has 16 characters at \
     least; 32 random ones are better.",
)
.when(Effect::Reload)];

const METRICS: &[Key] = &[key(
    "token",
    "UMBRELLA_METRICS_TOKEN",
    Text,
    "Who gives this as bearer token may read /metrics; at least 16 characters, better 32 random \
     ones. Empty: only the admin may.",
)
.when(Effect::Reload)];

const WEBHOOK: &[Key] = &[
    key(
        "urls",
        "UMBRELLA_WEBHOOK_URLS",
        List,
        "Addresses, http:// or https://, that every event is posted to. At most 16.",
    ),
    key(
        "api_key",
        "UMBRELLA_WEBHOOK_API_KEY",
        Text,
        "The API key whose secret signs events: one of auth.keys, or one made on the page. Empty: \
         the only one of auth.keys.",
    ),
];

const TRUNK: &[Key] = &[
    key(
        "name",
        "UMBRELLA_TRUNK_NAME",
        Text,
        "What other servers call this one. Empty: the name of the machine.",
    ),
    key(
        "role",
        "UMBRELLA_TRUNK_ROLE",
        Text,
        "\"media\", or \"signalling\" for a server that tells others of each other and forwards no \
         audio, video or data between them.",
    ),
    key(
        "direct",
        "UMBRELLA_TRUNK_DIRECT",
        Switch,
        "Link directly with servers that a neighbour with the role \"signalling\" introduces, so that \
         audio, video and data pass although that one forwards none; as such a neighbour, introduce \
         servers to each other.",
    ),
    key(
        "to",
        "UMBRELLA_TRUNK_TO",
        Tables(TRUNK_TO),
        "Servers to dial, besides those of the page, each in a table [[trunk.to]]: url, secret (a \
         join secret of that server), rooms (patterns such as [\"site-*\"]; left out, all), \
         moderate (false keeps its moderators from muting and removing participants here), insecure \
         (true allows http:// beyond this machine). At most 64.",
    ).when(Effect::Reload),
    key(
        "allow",
        "UMBRELLA_TRUNK_ALLOW",
        Tables(TRUNK_ALLOW),
        "Servers that may join, besides those of the page, each in a table [[trunk.allow]]: name, \
         secret (`umbrella trunk secret` prints a new one), rooms (patterns; left out, all), \
         moderate (false keeps its moderators from muting and removing participants here), expires \
         (when a server that has not joined yet is refused, as \"2030-12-31T00:00:00Z\"; left out, \
         never). At most 256.",
    ).when(Effect::Reload),
];

const fn column(name: &'static str, kind: ColumnKind) -> Column {
    Column { name, kind }
}

const MDNS: &[Key] = &[
    key(
        "enabled",
        "UMBRELLA_MDNS",
        Switch,
        "Announce this server, list others that are announced, and look up names that end in .local, \
         over UDP port 5353.",
    ),
    key(
        "name",
        "UMBRELLA_MDNS_NAME",
        Text,
        "The name, without .local, under which the page is found. Empty: the name of the machine.",
    ),
];
const TRUNK_TO: &[Column] = &[
    column("url", ColumnKind::Text),
    column("secret", ColumnKind::Text),
    column("rooms", ColumnKind::List),
    column("moderate", ColumnKind::Switch),
    column("insecure", ColumnKind::Switch),
];

const TRUNK_ALLOW: &[Column] = &[
    column("name", ColumnKind::Text),
    column("secret", ColumnKind::Text),
    column("rooms", ColumnKind::List),
    column("moderate", ColumnKind::Switch),
    column("expires", ColumnKind::Text),
];

const CAMERA: &[Key] = &[key(
    "",
    "UMBRELLA_CAMERAS",
    Tables(CAMERA_COLUMNS),
    "Cameras besides those of the page: name, room, url (as \"rtsp://user:password@192.168.1.20/stream1\"), \
     sub_url (of its small stream; left out, none), transport (\"tcp\" or \"udp\"; left out, \"tcp\"), \
     audio (false leaves sound out), always_on (true keeps it connected while nobody watches), pin \
     (fingerprints of its certificate, for rtsps://). At most 64.",
).when(Effect::Reload)];

const CAMERA_COLUMNS: &[Column] = &[
    column("name", ColumnKind::Text),
    column("room", ColumnKind::Text),
    column("url", ColumnKind::Text),
    column("sub_url", ColumnKind::Text),
    column("transport", ColumnKind::Text),
    column("audio", ColumnKind::Switch),
    column("always_on", ColumnKind::Switch),
    column("pin", ColumnKind::List),
];

const LIMITS: &[Key] = &[
    key(
        "memory_mb",
        "UMBRELLA_LIMIT_MEMORY_MB",
        Number,
        "Megabytes (of 1024 × 1024 bytes) of memory that the server stays below, by letting nobody new in \
         while it is tight and by keeping less: at least 48. 0 is unbounded. See docs/openwrt.md. Linux \
         only.",
    ),
    key(
        "participants_per_room",
        "UMBRELLA_LIMIT_PARTICIPANTS_PER_ROOM",
        Number,
        "0 is unbounded.",
    )
    .when(Effect::Reload),
    key(
        "rooms",
        "UMBRELLA_LIMIT_ROOMS",
        Number,
        "Rooms at a time. 0 is unbounded.",
    )
    .when(Effect::Reload),
    key(
        "tracks_per_participant",
        "UMBRELLA_LIMIT_TRACKS_PER_PARTICIPANT",
        Number,
        "Tracks that one participant may publish at a time.",
    )
    .when(Effect::Reload),
    key(
        "sockets",
        "UMBRELLA_LIMIT_SOCKETS",
        Number,
        "Signalling connections at a time.",
    )
    .when(Effect::Reload),
    key(
        "sockets_per_address",
        "UMBRELLA_LIMIT_SOCKETS_PER_ADDRESS",
        Number,
        "Signalling connections at a time from one address (one /64 for IPv6).",
    )
    .when(Effect::Reload),
    key(
        "message_bytes",
        "UMBRELLA_LIMIT_MESSAGE_BYTES",
        Number,
        "Bytes of one signalling message.",
    ),
    key(
        "messages_per_second",
        "UMBRELLA_LIMIT_MESSAGES_PER_SECOND",
        Number,
        "Signalling messages of one client, on average; four times as many at once.",
    )
    .when(Effect::NewClients),
    key(
        "offers_per_minute",
        "UMBRELLA_LIMIT_OFFERS_PER_MINUTE",
        Number,
        "Session descriptions of one client, on average.",
    )
    .when(Effect::NewClients),
    key(
        "data_message_bytes",
        "UMBRELLA_LIMIT_DATA_MESSAGE_BYTES",
        Number,
        "Bytes of one data message between participants.",
    ),
    key(
        "tcp_connections",
        "UMBRELLA_LIMIT_TCP_CONNECTIONS",
        Number,
        "Media connections over TCP at a time, for each worker.",
    ),
    key(
        "tcp_connections_per_address",
        "UMBRELLA_LIMIT_TCP_CONNECTIONS_PER_ADDRESS",
        Number,
        "Media connections over TCP at a time from one address, for each worker.",
    ),
];
