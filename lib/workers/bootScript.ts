/**
 * What a worker VM runs at every boot. POSIX sh, with tar, gzip, sha256sum (or openssl) and curl (or wget). It takes a token of the VM's own
 * identity, asks the app which package to run, fetches it unless it is there, checks it and becomes it. Token and package URL
 * go to the tools by files that only root reads, never as arguments.
 *
 * No other absolute path than these two prefixes: a local run puts folders of its own in their place.
 */
export const PROGRAM_DIR = '/opt/holdfast';
export const SETTINGS_DIR = '/etc/holdfast';

export const bootScript = `#!/bin/sh
set -eu
umask 077

base=${PROGRAM_DIR}
. ${SETTINGS_DIR}/worker.env
imds="\${AZURE_POD_IDENTITY_AUTHORITY_HOST:-http://169.254.169.254}"
work="$base/work.$$"

say() { printf '{"level":"info","event":"boot","message":"%s"}\\n' "$1"; }
fail() {
  printf '{"level":"error","event":"boot","message":"%s"}\\n' "$1"
  rm -rf "$work"
  exit 1
}

# fetch NAME URL [HEADER]: to the file NAME. A proxy is for the outside, not for the platform's own address.
fetch() {
  if command -v curl >/dev/null 2>&1; then
    {
      printf 'url = "%s"\\n' "$2"
      if [ -n "\${3:-}" ]; then printf 'header = "%s"\\n' "$3"; fi
    } >"$work/request"
    curl --silent --show-error --fail --location --noproxy 169.254.169.254 \\
      --connect-timeout 10 --max-time 600 --config "$work/request" --output "$1"
  else
    printf '%s\\n' "$2" >"$work/request"
    printf 'no_proxy = 169.254.169.254\\n' >"$work/wgetrc"
    if [ -n "\${SSL_CERT_FILE:-}" ]; then printf 'ca_certificate = %s\\n' "$SSL_CERT_FILE" >>"$work/wgetrc"; fi
    if [ -n "\${3:-}" ]; then printf 'header = %s\\n' "$3" >>"$work/wgetrc"; fi
    WGETRC="$work/wgetrc" wget --quiet --tries=1 --timeout=60 --output-document="$1" --input-file="$work/request"
  fi
}

# field NAME FILE: the string of that name in a flat JSON object.
field() { sed -n 's/.*"'"$1"'" *: *"\\([^"]*\\)".*/\\1/p' "$2" | head -n 1; }

digest_of() {
  if command -v sha256sum >/dev/null 2>&1; then sha256sum "$1" | cut -d ' ' -f 1
  elif command -v shasum >/dev/null 2>&1; then shasum -a 256 "$1" | cut -d ' ' -f 1
  else openssl dgst -sha256 -r "$1" | cut -d ' ' -f 1; fi
}

# The app may not know the identity of a new VM for a while, and the network may come up late: several tries, then the unit starts anew.
ask() {
  fetch "$work/token" "$imds/metadata/identity/oauth2/token?api-version=2018-02-01&resource=$HOLDFAST_AUDIENCE" "Metadata: true" || return 1
  token="$(field access_token "$work/token")"
  rm -f "$work/token"
  [ -n "$token" ] || return 1
  fetch "$work/package" "$HOLDFAST_APP_URL/api/worker/package" "Authorization: Bearer $token" || return 1
  digest="$(field digest "$work/package")"
  url="$(field url "$work/package")"
  [ \${#digest} -eq 64 ] && [ -n "$url" ]
}

# What earlier boots left behind when they were cut off.
rm -rf "$base"/work.*
mkdir -p "$work"
tries=0
until ask; do
  tries=$((tries + 1))
  [ "$tries" -lt 8 ] || fail "the app did not answer with a package"
  sleep "$((tries * 2))"
done
case "$digest" in *[!0-9a-f]*) fail "the package has no digest" ;; esac

if [ ! -f "$base/$digest/worker.mjs" ]; then
  say "fetching package $digest"
  fetch "$work/package.tgz" "$url" || fail "the package could not be fetched"
  [ "$(digest_of "$work/package.tgz")" = "$digest" ] || fail "the package is not the one the app named"
  mkdir "$work/unpacked"
  tar -xzf "$work/package.tgz" -C "$work/unpacked" || fail "the package could not be unpacked"
  rm -rf "\${base:?}/$digest"
  mv "$work/unpacked" "$base/$digest"
fi
rm -rf "$work"

for old in "$base"/*/; do
  name="$(basename "$old")"
  [ \${#name} -eq 64 ] && [ "$name" != "$digest" ] && rm -rf "$old"
done

cd "$base/$digest"
export HOLDFAST_APP_URL HOLDFAST_AUDIENCE
say "starting package $digest"
if [ -x ./node ]; then exec ./node worker.mjs; fi
exec node worker.mjs
`;
