#!/bin/sh
# shellcheck shell=dash
# First process of the guest: mounts, modules, and one server for each command channel.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/root TERM=linux
umask 022
if [ $$ = 1 ]; then
    mount -t proc proc /proc
    # QEMU keeps what it translated by virtual address: a program that stands elsewhere at each start is translated each time,
    # which makes it four times as slow.
    echo 0 >/proc/sys/kernel/randomize_va_space
    mount -t sysfs sysfs /sys
    mount -t devtmpfs devtmpfs /dev
    mkdir -p /dev/pts /dev/shm
    mount -t devpts devpts /dev/pts
    mount -t tmpfs -o mode=0755 tmpfs /run
    mount -t tmpfs -o mode=1777 tmpfs /tmp
    mkdir -p /run/netns /run/lab /lab /root
    modprobe -a virtio_pci virtio_console virtio_net
    ip link set lo up
    # strongSwan refuses every cookie while its clock shows less than ten seconds: time for what is served began long ago.
    unshare --time --monotonic 1000000 --fork "$0" &
    # The shell reaps orphans while it waits for its child, which never ends.
    while :; do wait; done
fi

# Serve a port (argument 1) until the host lets go of it. One request is a line "TOKEN COMMAND"; the answer is what the command
# writes, then a byte 1, TOKEN, its status and a newline. The port is opened only once, because a second open is refused;
# before the host is there it gives end-of-file at once, hence the pauses (argument 2).
serve() {
    tries=0
    while [ $tries -lt 100 ]; do
        while IFS=' ' read -r token command; do
            tries=100
            (
                # shellcheck disable=SC2034 # for the commands that are evaluated
                read -r process _ _ server _ </proc/self/stat # $$ is the first process'
                echo "$token $process" >"/run/lab/${1##*/}"
                eval "$command"
            ) 2>&1
            printf '\001%s %d\n' "$token" $?
        done
        [ $tries -eq 100 ] || sleep "${2:-0.02}"
        tries=$((tries + 1))
    done <>"$1" >&0
}

# Kill the command with this token, if it still runs, and all it has started.
end_request() {
    for file in /run/lab/*; do
        read -r token process <"$file"
        [ "$token" != "$1" ] || end_tree "$process"
    done
}

end_tree() {
    local children child
    kill -STOP "$1"
    read -r children <"/proc/$1/task/$1/children"
    for child in $children; do end_tree "$child"; done
    kill -KILL "$1"
}

# Two ports are served for ever; the host asks over them for the others to be served.
for port in /dev/vport0p1 /dev/vport0p2; do
    until [ -c $port ]; do sleep 0.02; done
    while :; do serve $port; done &
done
if [ -c /dev/hvc0 ]; then
    while :; do
        # What a shell starts by "&" ignores Ctrl-C, and so would all that is started in here.
        env --default-signal=INT,QUIT setsid -c -w /bin/bash -i <>/dev/hvc0 >&0 2>&1
        sleep 0.1
    done &
fi
read -r uptime _ </proc/uptime
echo "LAB ready $uptime" >/dev/console
while :; do wait; done
