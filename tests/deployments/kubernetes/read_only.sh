#!/bin/sh
# read_only.sh FOLDERS COMMAND...: the command where nothing but the folders (separated by colons)
# can be written to; /dev stays what a container runtime makes of it. For a new mount namespace.
set -eu
folders=$1
shift
mount --make-rprivate /
old_ifs=$IFS
IFS=:
for folder in $folders; do
    mount --bind "$folder" "$folder"
done
IFS=$old_ifs
while read -r _ point type _; do
    case "$type:$point" in
        proc:* | sysfs:* | mqueue:* | cgroup*:* | *:/dev | *:/dev/*) continue ;;
    esac
    case ":$folders:" in
        *":$point:"*) continue ;;
    esac
    mount -o remount,bind,ro "$point"
done < /proc/self/mounts
exec "$@"
