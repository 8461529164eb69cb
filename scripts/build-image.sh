#!/usr/bin/env bash
# Builds the image of the Dockerfile without Docker: with buildah, on Node from Debian trixie, of which mmdebstrap makes two
# base images (one with npm to build with, one with Node alone to run). They are kept: `buildah rmi` has them made anew.
# Packages come from where this machine gets its own: its apt mirror, and the registry that npm is configured for.
set -euo pipefail
cd "$(dirname "$0")/.."
# RUN needs no privileges of its own in a sandbox then.
export BUILDAH_ISOLATION="${BUILDAH_ISOLATION:-chroot}"

for tool in buildah mmdebstrap; do
  command -v "$tool" >/dev/null || {
    echo "tilestage: $tool is not installed; on Debian: sudo apt-get install buildah mmdebstrap" >&2
    exit 1
  }
done

mirror_of() { # label of a repository
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Label: $1" | sed -n 1p
}

make_base() { # name, packages
  buildah inspect --type image "localhost/$1" >/dev/null 2>&1 && return
  local mirror security base
  mirror=$(mirror_of Debian)
  security=$(mirror_of Debian-Security)
  echo "tilestage: making $1 of Debian trixie …" >&2
  mmdebstrap --quiet --variant=essential --include="$2" --customize-hook='rm -f "$1"/etc/apt/sources.list' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    trixie "$work/$1.tar" ${mirror:+"deb $mirror trixie main"} ${security:+"deb $security trixie-security main"}
  base=$(buildah from scratch)
  buildah add --quiet "$base" "$work/$1.tar" / >/dev/null
  buildah commit --quiet --rm "$base" "$1" >/dev/null
  rm "$work/$1.tar"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
make_base tilestage-npm nodejs,npm,ca-certificates
make_base tilestage-node nodejs

# The docker format knows HEALTHCHECK. Whom this machine trusts, the build trusts.
options=(--format docker --volume /etc/ssl/certs:/etc/ssl/certs:ro)
npmrc=$(npm config get userconfig)
[ -f "$npmrc" ] && options+=(--secret "id=npmrc,src=$npmrc")
buildah build "${options[@]}" --tag tilestage \
  --build-arg BUILD_IMAGE=localhost/tilestage-npm --build-arg BASE_IMAGE=localhost/tilestage-node .
