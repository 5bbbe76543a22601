use super::DeviceChoice;

/// What can be changed of a running engine; the next run goes by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineSetup {
    /// Where to compute; `None` leaves the device that it was started with.
    pub device: Option<DeviceChoice>,
    /// Bytes of earlier runs' steps that are kept in memory.
    pub steps_in_memory: u64,
    /// Bytes of them that are kept on disk.
    pub steps_on_disk: u64,
}
