#!/bin/sh
# Starts a Redis or Valkey server whose append-only file may have been torn by a power loss:
#
#   serve.sh SERVER_PROGRAM [CONFIG_FILE] [--dir DIR] [--appenddirname NAME] [--appendfilename NAME] [server options…]
#
# The server itself cuts a torn file at the last whole command, which may lie inside a transaction or a script's block;
# what is then written after it is lost, or comes back twice, at the next start. So the file is cut here, before that
# block, by the server's own check tool; what is cut is kept beside the file and said in one line. What is no torn end
# (a damaged byte in the middle, a missing file, a server that runs already) is refused. Then the server takes over this
# process, told to refuse a torn file itself.
set -u
export LC_ALL=C

say() { echo "serve.sh: $*" >&2; }
refuse() { say "refused: $*"; exit 78; }

# The value of a server option: on the command line, else in the configuration file, else the default.
option() {
  wanted=$1 value=$2; shift 2
  if [ $# -gt 0 ] && [ -f "$1" ]; then
    in_file=$(sed -n "s/^[[:space:]]*$wanted[[:space:]]\{1,\}[\"']\{0,1\}\([^\"']*\)[\"']\{0,1\}[[:space:]]*\$/\1/p" "$1" | tail -n 1)
    value=${in_file:-$value}
  fi
  while [ $# -gt 1 ]; do
    if [ "$1" = "--$wanted" ]; then value=$2; fi
    shift
  done
  echo "$value"
}

# The server's check tool: beside it, or the server's program itself under that name, or one on PATH.
find_check() {
  folder=$(dirname "$server")
  for name in valkey-check-aof redis-check-aof; do
    case $server in *"${name%%-*}"*) [ -x "$folder/$name" ] && echo "$folder/$name" && return ;; esac
  done
  # One program plays all roles, by the name it is called; called so, one that does not would tell its version.
  ln -s "$server" "$scratch/valkey-check-aof.redis-check-aof"
  if ! "$scratch/valkey-check-aof.redis-check-aof" --version >/dev/null 2>&1; then
    echo "$scratch/valkey-check-aof.redis-check-aof"
  else
    command -v valkey-check-aof || command -v redis-check-aof
  fi
}

# Whether a process has a file of this folder open: a server, or what a killed one left at work.
in_use() {
  if [ -d /proc/self/fd ]; then
    # shellcheck disable=SC2012 # only the targets of the links are looked at
    ls -l /proc/[0-9]*/fd 2>/dev/null | grep -qF -- "-> $files/"
  elif command -v fuser >/dev/null; then
    fuser "$files"/* 2>/dev/null | grep -q '[0-9]'
  else
    return 1
  fi
}

# Holds the data folder for the server's life, by a lock that the kernel ends with it.
hold_folder() {
  left=3
  [ -w "$data" ] || refuse "cannot write $data"
  exec 9>>"$data/serve.lock"
  until { ! command -v flock >/dev/null || flock -n 9; } && ! in_use; do
    [ "$left" -gt 0 ] || refuse "a server runs on $data already, or what is left of one; end it first"
    left=$((left - 1))
    sleep 1
  done
}

# Lines "TYPE NAME" of the manifest: b the base, i what was written since.
listed() { sed -n 's/^file "\{0,1\}\(.*[^"]\)"\{0,1\} seq [0-9]* type \([bi]\).*/\2 \1/p' "$manifest"; }

check_files_are_there() {
  listed | while read -r _ name; do
    [ -f "$files/$name" ] || { echo "$name"; break; }
  done
}

# Whether standard input, a file from its last whole block on, is the beginning of one more command or transaction:
# then it was torn at its end. Anything else is damage.
is_torn_end() {
  od -An -v -tu1 | awk '
    function bad() { damaged = 1; exit 1 }
    function digit(b) { return b >= 48 && b <= 57 }
    function number(b, next_state) {
      if (digit(b)) { value = value * 10 + b - 48; digits++ }
      else if (b == 13 && digits) state = next_state
      else bad()
    }
    function argument_ended() {
      state = "$"
      if (++got < arguments) return
      state = "*"
      if (toupper(name) == "MULTI" && !open) open = 1
      else if (!open || toupper(name) == "MULTI" || arguments == 1) bad()
    }
    # A length that was damaged swallows what follows: a whole head of a command inside a value says so.
    function look_for_head(b) {
      if (head == 0 || b == 13 && head < 4) head = (b == 13)
      else if (head == 1) head = (b == 10) * 2
      else if (head == 2) head = (b == 42) * 3
      else if (head == 3) head = digit(b) * 4
      else if (head == 4) head = digit(b) ? 4 : (b == 13) * 5
      else if (head == 5) head = (b == 10) * 6
      else if (head == 6) head = (b == 36) * 7
    }
    function take(b) {
      if (state == "value") {
        if (got == 0 && size <= 5) name = name sprintf("%c", b)
        look_for_head(b)
        if (--left == 0) state = "after"
      }
      else if (state == "*") {
        value = digits = got = 0; name = ""
        if (b == 42) state = "count"; else if (b == 35) state = "#"; else bad()
      }
      else if (state == "#") { if (b == 10) state = "*" }
      else if (state == "count") number(b, "count end")
      else if (state == "count end") { if (b != 10 || value < 1) bad(); arguments = value; state = "$" }
      else if (state == "$") { if (b != 36) bad(); value = digits = 0; state = "size" }
      else if (state == "size") number(b, "size end")
      else if (state == "size end") {
        if (b != 10) bad()
        size = left = value; head = 0; state = size ? "value" : "after"
      }
      else if (state == "after") { if (b != 13) bad(); state = "end" }
      else if (state == "end") { if (b != 10) bad(); argument_ended() }
    }
    BEGIN { state = "*" }
    { for (i = 1; i <= NF; i++) take($i + 0) }
    END { exit damaged || (state == "*" && !open) || (state == "value" && head == 7) }'
}

# Cuts the torn end off the file that was written last; the ones before it were whole when the next began.
repair() {
  last=$(listed | sed -n 's/^i //p' | tail -n 1)
  [ -n "$last" ] || return 0
  file=$files/$last
  found=$("$check" "$file" </dev/null 2>&1) && return 0
  whole=$(printf '%s\n' "$found" | sed -n 's/.*ok_up_to=\([0-9]*\).*/\1/p' | tail -n 1)
  [ -n "$whole" ] || refuse "$file cannot be checked: $(printf '%s\n' "$found" | tail -n 1)"
  size=$(($(wc -c <"$file")))
  tail -c "+$((whole + 1))" "$file" | is_torn_end || refuse "$file is damaged from byte $whole on, which is no torn end;" \
    "restore it from a copy, or give up its last $((size - whole)) bytes with redis-check-aof --fix"
  kept=$data/cut-$(date -u +%Y%m%dT%H%M%SZ)-$$-$last
  tail -c "+$((whole + 1))" "$file" >"$kept" || refuse "cannot keep what must be cut off $file; make room in $data"
  echo y | "$check" --fix "$file" >/dev/null 2>&1
  "$check" "$file" </dev/null >/dev/null 2>&1 || refuse "$check could not repair $file; what it would cut is in $kept"
  say "cut $((size - whole)) bytes of a block torn by a power loss off $file at byte $whole; they are kept in $kept"
}

[ $# -gt 0 ] || refuse "name the server's program: serve.sh SERVER_PROGRAM [server options…]"
server=$(command -v "$1") || refuse "there is no program $1"
case $server in /*) ;; *) server=$PWD/$server ;; esac
shift
data=$(option dir . "$@")
data=$(cd "$data" 2>/dev/null && pwd -P) || refuse "there is no folder $(option dir . "$@")"
files=$data/$(option appenddirname appendonlydir "$@")
base=$(option appendfilename appendonly.aof "$@")
manifest=$files/$base.manifest
hold_folder
if [ -f "$manifest" ]; then
  missing=$(check_files_are_there)
  [ -z "$missing" ] || refuse "$manifest lists $missing, which is missing; restore it from a copy"
  scratch=$(mktemp -d) || refuse "cannot make a temporary folder"
  trap 'rm -rf "$scratch"' EXIT
  trap 'exit 143' TERM INT HUP
  check=$(find_check) || refuse "no check tool (redis-check-aof or valkey-check-aof) for $server; install it beside it"
  repair
  rm -rf "$scratch"
  trap - EXIT TERM INT HUP
else
  # A first start that was cut short leaves an empty base (about 90 bytes) and nothing since.
  left_over=$(find "$files" \( -name "$base.*.incr.aof" -size +0c -o -name "$base.*.base.*" -size +128c \) 2>/dev/null)
  [ -z "$left_over" ] || refuse "$manifest is missing, but not its files: the server would begin with nothing and" \
    "forget them; restore it from a copy, or move $files away to begin anew"
fi
exec "$server" "$@" --aof-load-truncated no
