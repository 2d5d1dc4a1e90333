//! The page's TypeScript types are those of [`super::api`].

use ts_rs::TS;

use super::api;

const HEADER: &str = "\
// The types of the server's HTTP API, generated from crates/server/src/http/api.rs.
// Do not edit: `UPDATE_TYPES=1 cargo test -p umbrella page_types` rewrites this file.
";

#[test]
fn page_types_are_those_of_the_api() {
    check("types.ts", &types());
    check("trunkTypes.ts", &trunk_types());
    check("cameraTypes.ts", &camera_types());
}

fn check(name: &str, expected: &str) {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ui/src/api");
    let path = format!("{dir}/{name}");
    if std::env::var_os("UPDATE_TYPES").is_some() {
        std::fs::create_dir_all(dir).unwrap();
        std::fs::write(&path, expected).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == expected,
        "ui/src/api/{name} is stale: UPDATE_TYPES=1 cargo test -p umbrella page_types"
    );
}

macro_rules! declare {
    ($($name:ident),* $(,)?) => {{
        let mut text = HEADER.to_owned();
        $(
            let docs = <api::$name as TS>::docs().unwrap_or_default();
            text.push('\n');
            text.push_str(&docs);
            text.push_str(&layout(&<api::$name as TS>::decl()));
        )*
        text
    }};
}

fn types() -> String {
    declare!(
        ApiError,
        CheckPlan,
        CheckServer,
        CheckOffer,
        CheckAnswer,
        AdminSession,
        SetupRequest,
        LoginRequest,
        Role,
        InviteInfo,
        JoinRequest,
        JoinGrant,
        RoomSummary,
        CreateRoom,
        RoomDetail,
        ParticipantDetail,
        TrackDetail,
        LayerDetail,
        MuteRequest,
        Invite,
        CreateInvite,
        CreatedInvite,
        ApiKey,
        CreateKey,
        CreatedKey,
        Status,
        CertificateStatus,
        Held,
        MemoryRefusals,
        MemoryStatus,
        WorkerStatus,
    )
}

fn trunk_types() -> String {
    declare!(
        TrunkOverview,
        TrunkEntry,
        TrunkState,
        TrunkNeighbour,
        AllowedServer,
        TrunkRefusal,
        Nearby,
        NearbyServer,
        AddTrunk,
        ConfirmTrunk,
        AllowServer,
        AllowedNow,
        Topology,
        TopologyNode,
        TopologyLink,
        TrunkFlow,
        TrunkMedia,
        TrunkTraffic,
        TrunkTrack,
        TrunkLayer,
    )
}

fn camera_types() -> String {
    declare!(
        CameraEntry,
        CameraSource,
        CameraTransport,
        CameraState,
        CameraVideo,
        CameraSound,
        CameraSettings,
        CameraStream,
        TestCamera,
        CameraTested,
        CameraFindings,
        CameraStill,
        ConfirmCamera,
        ImportCameras,
        ImportedCameras,
        SkippedCamera,
    )
}

/// One field a line, indented, as the page's formatter wants it.
fn layout(declaration: &str) -> String {
    let mut text = String::from("export ");
    for line in declaration.lines().map(str::trim) {
        if line.ends_with('{') {
            text.push_str(line);
        } else if line.starts_with("/*") || line.starts_with('*') {
            let lead = if line.starts_with('*') { "   " } else { "  " };
            text.push_str(lead);
            text.push_str(line);
        } else {
            let last = line.ends_with("};");
            let field = line.trim_end_matches("};").trim_end().trim_end_matches(',');
            text.push_str(&format!("  {field};{}", if last { "\n};" } else { "" }));
        }
        text.push('\n');
    }
    text
}
