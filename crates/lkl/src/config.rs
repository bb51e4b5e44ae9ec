//! Configurations as texts, from JSON or the environment (`lkl_config.h`).

use std::alloc::Layout;
use std::ffi::{CStr, CString, c_char, c_int};
use std::net::IpAddr;
use std::ptr;

use serde_json::{Map, Value};

use crate::border::{Errno, Result, complain, text};
use crate::fs::mount_fs;
use crate::netdev::{self, Arguments};
use crate::netdev_link::Netdev;
use crate::{address, host_ops, neighbour, netdev_pipe, route, settings};

/// A text of malloc(3), or NULL.
type Text = *mut c_char;

/// `struct lkl_config_iface`.
#[repr(C)]
pub(crate) struct Interface {
    next: *mut Interface,
    device: *mut Netdev,
    tap: Text,
    kind: Text,
    parameters: Text,
    mtu: Text,
    ip: Text,
    ipv6: Text,
    gateway: Text,
    gateway6: Text,
    mac: Text,
    prefix: Text,
    prefix6: Text,
    offload: Text,
    neighbours: Text,
    disciplines: Text,
}

/// `struct lkl_config`.
#[repr(C)]
pub(crate) struct Config {
    interfaces_len: c_int,
    interfaces: *mut Interface,
    gateway: Text,
    gateway6: Text,
    debug: Text,
    mount: Text,
    single_cpu: Text,
    sysctls: Text,
    boot_command_line: Text,
    dump: Text,
    delay_main: Text,
    nameserver: Text,
}

/// A setting: its name in JSON, in the environment behind `LKL_HIJACK_`, and its place.
type Setting<T> = (&'static str, &'static str, fn(&mut T) -> &mut Text);

const SETTINGS: [Setting<Config>; 10] = [
    ("gateway", "NET_GATEWAY", |config| &mut config.gateway),
    ("gateway6", "NET_GATEWAY6", |config| &mut config.gateway6),
    ("nameserver", "NET_NAMESERVER", |config| {
        &mut config.nameserver
    }),
    ("debug", "DEBUG", |config| &mut config.debug),
    ("mount", "MOUNT", |config| &mut config.mount),
    ("singlecpu", "SINGLE_CPU", |config| &mut config.single_cpu),
    ("sysctl", "SYSCTL", |config| &mut config.sysctls),
    ("boot_cmdline", "BOOT_CMDLINE", |config| {
        &mut config.boot_command_line
    }),
    ("dump", "DUMP", |config| &mut config.dump),
    ("delay_main", "DELAY_MAIN", |config| &mut config.delay_main),
];

const OF_INTERFACES: [Setting<Interface>; 14] = [
    ("iftap", "NET_TAP", |interface| &mut interface.tap),
    ("type", "NET_IFTYPE", |interface| &mut interface.kind),
    ("param", "NET_IFPARAMS", |interface| {
        &mut interface.parameters
    }),
    ("mtu", "NET_MTU", |interface| &mut interface.mtu),
    ("ip", "NET_IP", |interface| &mut interface.ip),
    ("ipv6", "NET_IPV6", |interface| &mut interface.ipv6),
    ("ifgateway", "NET_IFGATEWAY", |interface| {
        &mut interface.gateway
    }),
    ("ifgateway6", "NET_IFGATEWAY6", |interface| {
        &mut interface.gateway6
    }),
    ("mac", "NET_MAC", |interface| &mut interface.mac),
    ("masklen", "NET_NETMASK_LEN", |interface| {
        &mut interface.prefix
    }),
    ("masklen6", "NET_NETMASK6_LEN", |interface| {
        &mut interface.prefix6
    }),
    ("offload", "OFFLOAD", |interface| &mut interface.offload),
    ("neigh", "NET_NEIGHBOR", |interface| {
        &mut interface.neighbours
    }),
    ("qdisc", "NET_QDISC", |interface| &mut interface.disciplines),
];

/// Why a configuration is wrong. C gets -1.
struct Wrong(String);

impl From<Wrong> for Errno {
    fn from(Wrong(why): Wrong) -> Errno {
        complain(&format!("configuration: {why}"));
        Errno(-1)
    }
}

fn set(place: &mut Text, value: &str) {
    let value = CString::new(value).unwrap_or_default();
    // SAFETY: a text of malloc(3)'s or NULL; strdup(3) copies the new one.
    unsafe {
        libc::free((*place).cast());
        *place = libc::strdup(value.as_ptr());
    }
}

/// The text of a setting; `None` if it is not set or not UTF-8.
fn get<'a>(place: Text) -> Option<&'a str> {
    // SAFETY: NULL, or a text that stays as long as its configuration.
    let text = (!place.is_null()).then(|| unsafe { CStr::from_ptr(place) });
    text.and_then(|text| text.to_str().ok())
}

/// An interface with nothing set, of malloc(3): programs make such themselves.
fn new_interface() -> &'static mut Interface {
    // SAFETY: memory for one, all of it zero: it is pointers, which may all be NULL.
    let interface = unsafe {
        libc::calloc(1, size_of::<Interface>())
            .cast::<Interface>()
            .as_mut()
    };
    interface.unwrap_or_else(|| std::alloc::handle_alloc_error(Layout::new::<Interface>()))
}

fn set_all<T>(settings: &[Setting<T>], to: &mut T, name: &str, value: &Value) -> Result<(), Wrong> {
    let setting = settings.iter().find(|(known, ..)| *known == name);
    let (_, _, place) = setting.ok_or_else(|| Wrong(format!("unknown key {name:?}")))?;
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => return Err(Wrong(format!("{name:?} takes a text"))),
    };
    set(place(to), &text);
    Ok(())
}

fn object(value: &Value) -> Result<&Map<String, Value>, Wrong> {
    value
        .as_object()
        .ok_or_else(|| Wrong(format!("an object is wanted, not {value}")))
}

fn load_json(config: &mut Config, text: &str) -> Result<(), Wrong> {
    let all: Value = serde_json::from_str(text).map_err(|error| Wrong(error.to_string()))?;
    for (name, value) in object(&all)? {
        if name != "interfaces" {
            set_all(&SETTINGS, config, name, value)?;
            continue;
        }
        let list = value.as_array();
        for value in list.ok_or_else(|| Wrong("\"interfaces\" takes an array".into()))? {
            let interface = new_interface();
            // At once: what fails then is freed with the configuration.
            add(config, interface);
            for (name, value) in object(value)? {
                set_all(&OF_INTERFACES, interface, name, value)?;
            }
        }
    }
    Ok(())
}

/// Puts an interface behind those that are there.
fn add(config: &mut Config, interface: &mut Interface) {
    let mut end = &raw mut config.interfaces;
    // SAFETY: a list of interfaces, which ends with NULL.
    unsafe {
        while !(*end).is_null() {
            end = &raw mut (**end).next;
        }
        *end = interface;
    }
    config.interfaces_len += 1;
}

/// The interfaces of a configuration, which nobody else uses.
fn interfaces(config: &mut Config) -> Vec<&mut Interface> {
    let mut found = Vec::new();
    let mut next = config.interfaces;
    // SAFETY: a list of interfaces, each of which is there once.
    while let Some(interface) = unsafe { next.as_mut() } {
        next = interface.next;
        found.push(interface);
    }
    found
}

fn load_environment(config: &mut Config) {
    let value = |name: &str| std::env::var(format!("LKL_HIJACK_{name}")).ok();
    let interface = new_interface();
    for (_, name, place) in OF_INTERFACES {
        if let Some(value) = value(name) {
            set(place(interface), &value);
        }
    }
    if interface.tap.is_null() && interface.kind.is_null() {
        free_interface(interface);
    } else {
        add(config, interface);
    }
    for (_, name, place) in SETTINGS {
        if let Some(value) = value(name) {
            set(place(config), &value);
        }
    }
}

fn free_texts<T>(settings: &[Setting<T>], of: &mut T) {
    for (_, _, place) in settings {
        let text = std::mem::replace(place(of), ptr::null_mut());
        // SAFETY: a text of malloc(3)'s or NULL.
        unsafe { libc::free(text.cast()) };
    }
}

fn free_interface(interface: &mut Interface) {
    free_texts(&OF_INTERFACES, interface);
    // SAFETY: it is from malloc(3), and nobody uses it any more.
    unsafe { libc::free(ptr::from_mut(interface).cast()) };
}

fn number<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, Wrong> {
    text.parse()
        .map_err(|_| Wrong(format!("{text:?} is no {what}")))
}

/// The bytes of an address, in network byte order.
fn address(text: &str) -> Result<Vec<u8>, Wrong> {
    Ok(match number(text, "address")? {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    })
}

fn mac(text: &str) -> Result<[u8; 6], Wrong> {
    let bytes: Option<Vec<u8>> = text
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16).ok())
        .collect();
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| Wrong(format!("{text:?} is no hardware address")))
}

/// Makes the device of an interface, and adds it.
fn add_device(interface: &mut Interface) -> Result<()> {
    let (kind, parameters) = match (interface.kind.is_null(), interface.tap.is_null()) {
        (true, false) => (Some("tap"), interface.tap),
        _ => (get(interface.kind), interface.parameters),
    };
    // SAFETY: the parameters are a text, or NULL, which is an error.
    let device = unsafe {
        match kind {
            Some("tap") => netdev::lkl_netdev_tap_create(parameters, 0),
            Some("macvtap") => netdev::lkl_netdev_macvtap_create(parameters, 0),
            Some("raw") => netdev::lkl_netdev_raw_create(parameters),
            Some("pipe") => netdev_pipe::lkl_netdev_pipe_create(parameters, 0),
            Some(other) => {
                let known = "tap, raw, macvtap and pipe";
                return Err(
                    Wrong(format!("no interface of type {other:?}: there are {known}")).into(),
                );
            }
            None => return Err(Wrong("an interface has no type".into()).into()),
        }
    };
    if device.is_null() {
        return Err(Errno(-1));
    }
    interface.device = device;
    let mac = get(interface.mac).map(mac).transpose()?;
    let arguments = Arguments {
        mac: mac.as_ref().map_or(ptr::null(), |mac| mac.as_ptr().cast()),
        offload: 0,
    };
    // SAFETY: a new device, and arguments that last as long as the call.
    match unsafe { netdev::lkl_netdev_add(device, &arguments) } {
        number if number >= 0 => Ok(()),
        errno => Err(Errno(errno)),
    }
}

/// Sets an interface up, in the running kernel.
fn configure(interface: &Interface) -> Result<()> {
    // SAFETY: a device that was added.
    let device = unsafe { interface.device.as_ref() }.map_or(-1, |device| device.id);
    // SAFETY: it takes any number.
    let index = unsafe { netdev::lkl_netdev_get_ifindex(device) };
    if index < 0 {
        return Err(Errno(index));
    }
    if let Some(mtu) = get(interface.mtu) {
        address::set_mtu(index, number_of(mtu)?)?;
    }
    address::set_up(index, true)?;
    for (own, prefix, gateway) in [
        (interface.ip, interface.prefix, interface.gateway),
        (interface.ipv6, interface.prefix6, interface.gateway6),
    ] {
        let (Some(own), Some(prefix)) = (get(own), get(prefix)) else {
            continue;
        };
        let (own, prefix) = (address(own)?, number(prefix, "length of a prefix")?);
        address::add(index, &own, prefix)?;
        if own.len() == 16 {
            address::wait(index, Some(&own))?;
        }
        if let Some(gateway) = get(gateway) {
            route::set_own(index, &own, prefix, &address(gateway)?)?;
        }
    }
    for entry in get(interface.neighbours)
        .into_iter()
        .flat_map(|all| all.split(';'))
    {
        if let Some((of, at)) = entry.split_once('|') {
            neighbour::set(index, &address(of)?, &mac(at)?)?;
        }
    }
    if let Some(disciplines) = get(interface.disciplines) {
        neighbour::set_disciplines(index, disciplines);
    }
    Ok(())
}

fn number_of(text: &str) -> Result<c_int, Wrong> {
    number(text, "number")
}

/// # Safety
/// It is NULL, or a configuration that nobody else uses meanwhile.
unsafe fn given<'a>(config: *mut Config) -> Result<&'a mut Config> {
    // SAFETY: the caller's.
    unsafe { config.as_mut() }.ok_or(Errno(-1))
}

export! {
    fn lkl_load_config_json(cfg: *mut Config, jstr: *const c_char) -> c_int {
        // SAFETY: the caller's.
        let (config, text) = unsafe { (given(cfg)?, text(jstr).map_err(|_| Errno(-1))?) };
        load_json(config, &text.to_string_lossy())?;
        Ok(0)
    }

    fn lkl_load_config_env(cfg: *mut Config) -> c_int {
        // SAFETY: the caller's.
        load_environment(unsafe { given(cfg) }?);
        Ok(0)
    }

    fn lkl_show_config(cfg: *mut Config) {
        // SAFETY: the caller's.
        let config = unsafe { given(cfg) }?;
        for (name, _, place) in SETTINGS {
            show(name, *place(config));
        }
        for (at, interface) in interfaces(config).into_iter().enumerate() {
            for (name, _, place) in OF_INTERFACES {
                show(&format!("interfaces[{at}].{name}"), *place(interface));
            }
        }
        Ok(())
    }

    fn lkl_load_config_pre(cfg: *mut Config) -> c_int {
        // SAFETY: the caller's.
        let config = unsafe { given(cfg) }?;
        if get(config.debug).is_none_or(|debug| debug == "0") {
            host_ops::silence();
        }
        for interface in interfaces(config) {
            add_device(interface).map_err(|_| Errno(-1))?;
        }
        Ok(0)
    }

    fn lkl_load_config_post(cfg: *mut Config) -> c_int {
        // SAFETY: the caller's.
        let config = unsafe { given(cfg) }?;
        for name in get(config.mount).into_iter().flat_map(|all| all.split(',')) {
            mount_fs(&CString::new(name.trim()).unwrap_or_default()).map_err(|_| Errno(-1))?;
        }
        for interface in interfaces(config) {
            configure(interface).map_err(|_| Errno(-1))?;
        }
        for gateway in [config.gateway, config.gateway6].into_iter().filter_map(get) {
            route::add_gateway(&address(gateway)?).map_err(|_| Errno(-1))?;
        }
        if let Some(sysctls) = get(config.sysctls) {
            settings::set_all(sysctls);
        }
        Ok(0)
    }

    fn lkl_unload_config(cfg: *mut Config) -> c_int {
        // SAFETY: the caller's.
        let config = unsafe { given(cfg) }?;
        for interface in interfaces(config) {
            // SAFETY: a device of `add_device`'s, or NULL.
            if let Some(device) = unsafe { interface.device.as_ref() } {
                // SAFETY: after its removal nobody uses it.
                unsafe {
                    netdev::lkl_netdev_remove(device.id);
                    netdev::lkl_netdev_free(interface.device);
                }
            }
            free_interface(interface);
        }
        config.interfaces = ptr::null_mut();
        config.interfaces_len = 0;
        free_texts(&SETTINGS, config);
        Ok(0)
    }
}

fn show(name: &str, value: Text) {
    if let Some(value) = get(value) {
        host_ops::print(format!("{name}: {value}\n").as_bytes());
    }
}
