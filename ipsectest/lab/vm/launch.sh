#!/bin/busybox sh
# shellcheck shell=dash
# launch NAMESPACE ROOT DIRECTORY PROGRAM [ARGUMENT...]: become a program in a network namespace (a file), with a peer's
# tree as its root, where DIRECTORY is seen as /run/peer. Mounts are private and end with the program.
# Static programs only: under emulation the dynamic loader costs ten times as much as the work.
namespace=$1 root=$2 directory=$3
shift 3
if [ "$LAB_INSIDE" != yes ]; then
    LAB_INSIDE=yes exec busybox nsenter --net="$namespace" busybox unshare -m "$0" "$namespace" "$root" "$directory" "$@"
fi
unset LAB_INSIDE
mount -t tmpfs -o mode=0755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount --bind /proc "$root/proc"
mount --bind /dev "$root/dev"
mkdir "$root/run/peer"
mount --bind "$directory" "$root/run/peer"
cd "$root/run/peer" && exec chroot "$root" "$@"
