# Runs deploy/openwrt's init script as OpenWrt would:
#   busybox ash openwrt.sh INIT-SCRIPT UCI-FILE PROGRAM start|reload
# Says what it asks of procd, a line each; `set` ends what an instance is made of, and procd stops what is
# not in it. Imitated are /etc/rc.common, /lib/functions.sh (the parser of
# UCI's files with its callbacks) and procd.sh, as far as they are used.

SCRIPT="$1" UCI="$2" REPLACEMENT="$3" ACTION="$4"

logger() { :; }

config_set() { eval "CONFIG_$1_$2=\$3"; }
config_get() { eval "$1=\"\${CONFIG_$2_$3:-\$4}\""; }
config_get_bool() {
	config_get "$1" "$2" "$3" "$4"
	eval "case \"\$$1\" in 1 | on | true | yes | enabled) $1=1 ;; *) $1=0 ;; esac"
}
config_list_foreach() {
	local section="$1" option="$2" call="$3" length item value
	config_get length "$section" "${option}_LENGTH" 0
	item=1
	while [ "$item" -le "$length" ]; do
		config_get value "$section" "${option}_ITEM$item"
		"$call" "$value"
		item=$((item + 1))
	done
}

# The words of UCI's files.
config() { CONFIG_SECTION="$2" && config_cb "$1" "$2"; }
option() { config_set "$CONFIG_SECTION" "$1" "$2" && option_cb "$1" "$2"; }
list() {
	local length
	config_get length "$CONFIG_SECTION" "$1_LENGTH" 0
	length=$((length + 1))
	config_set "$CONFIG_SECTION" "$1_ITEM$length" "$2"
	config_set "$CONFIG_SECTION" "$1_LENGTH" "$length"
	list_cb "$1" "$2"
}
config_load() { . "$UCI"; }

procd_open_instance() { echo open; }
procd_close_instance() { echo close; }
procd_set_param() { echo "$*"; }
procd_append_param() { echo "$*"; }
procd_add_reload_trigger() { echo "trigger $1"; }

start() {
	local status
	start_service
	status=$?
	service_triggers
	echo set
	return $status
}
reload() { start; }

. "$SCRIPT"
PROG="$REPLACEMENT"
type reload_service >/dev/null 2>&1 && reload() { reload_service; }
"$ACTION"
