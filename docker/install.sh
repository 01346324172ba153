#!/usr/bin/env bash
# The steps that the images of the api-server and of the STT server share.
#
#   install.sh certs          trust the certificates of docker/certs (a company's own CA)
#   install.sh dependencies   /opt/venv with exactly what the lock files name
#   install.sh project        the project itself, and bytecode for all of it
#   install.sh runtime        the user and the folders of the running container
set -euo pipefail

build=/opt/build # the build tools live apart, so that nothing has to be taken out of /opt/venv again
venv=/opt/venv

install_into_venv() {
  "$build/bin/pip" --python "$venv/bin/python" install --no-compile --progress-bar off "$@"
}

# From the wheelhouse when it holds wheels, else from the index that the build arguments name.
choose_source() {
  local name
  export PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
  export PIP_CERT=/etc/ssl/certs/ca-certificates.crt # the one that `certs` extends
  for name in PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST; do
    [ -n "${!name:-}" ] || unset "$name" # compose passes what is not set as empty
  done
  source_args=(--only-binary ':all:')
  if compgen -G '/wheels/*.whl' >/dev/null; then
    echo "-- packages from docker/wheelhouse, no network"
    source_args+=(--no-index --find-links /wheels)
  else
    echo "-- packages from the package index"
  fi
}

certs() {
  # .gitkeep is always there; without it COPY would fail for want of a file
  find /usr/local/share/ca-certificates -name '.gitkeep' -delete
  update-ca-certificates
}

dependencies() {
  choose_source
  python3 -m venv "$build"
  "$build/bin/pip" install --progress-bar off "${source_args[@]}" --require-hashes -r requirements/bootstrap.lock
  python3 -m venv --without-pip "$venv"
  # pip stays at run time: `stt-engine model fetch` downloads from a package index with it
  awk '/^pip==/ {on = 1} on {print} on && !/\\$/ {exit}' requirements/bootstrap.lock >/tmp/pip.lock
  install_into_venv "${source_args[@]}" --require-hashes -r /tmp/pip.lock
  install_into_venv "${source_args[@]}" --require-hashes -r requirements/runtime.lock
  case "${ACCELERATOR:-cpu}" in
    cpu) ;;
    cuda)
      install_into_venv "${source_args[@]}" --require-hashes -r requirements/cuda.lock
      mkdir "$venv/cuda" # one folder for LD_LIBRARY_PATH, whatever the Python version
      ln -s "$venv"/lib/python3*/site-packages/nvidia/*/lib/*.so* "$venv/cuda/"
      ;;
    *) echo "ACCELERATOR is cpu or cuda, not $ACCELERATOR" >&2; exit 2 ;;
  esac
  # what only these packages' own tests and compilers need
  find "$venv"/lib/python3*/site-packages/numpy \( -name tests -o -name '*.pyi' -o -name '*.a' \) \
    -prune -exec rm -rf {} +
}

project() {
  choose_source
  "$build/bin/pip" wheel --no-deps --no-build-isolation --no-index --wheel-dir /dist .
  install_into_venv --no-deps --no-index /dist/*.whl
  # a read-only container cannot write bytecode later; hashes, since time stamps do not survive every copy
  "$venv/bin/python" -m compileall -q -j 0 --invalidation-mode unchecked-hash "$venv/lib"
}

runtime() {
  groupadd --gid 1000 stt
  useradd --uid 1000 --gid 1000 --no-create-home --home-dir /app --shell /bin/bash stt
  mkdir -p /app/models /app/audio /app/logs /app/tmp /app/home
  chown stt:stt /app/models /app/audio
  chmod 1777 /app/logs /app/tmp /app/home # any --user may write a log, temporary files, the store
}

case "${1:-}" in
  certs | dependencies | project | runtime) "$1" ;;
  *) sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
