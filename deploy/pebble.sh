#!/bin/sh
# A CA for tests: Pebble, Let's Encrypt's own test CA, and a DNS server that resolves
# every name to 127.0.0.1. It needs pebble (Debian and Ubuntu: the package `pebble`), openssl, curl.
#
#   deploy/pebble.sh DIRECTORY [HTTP_PORT HTTPS_PORT]
#
# It checks challenges at these ports (default: 80 and 443), and runs until it is stopped. When
# DIRECTORY has these files, it is ready:
#
#   lets_encrypt.toml   the section for the config file of vhost; it is also printed
#   root.pem            the root of its certificates, for clients such as curl; a new one at each start
set -eu
directory=${1:?usage: pebble.sh DIRECTORY [HTTP_PORT HTTPS_PORT]}
http=${2:-80}
https=${3:-443}
acme=127.0.0.1:${ACME_PORT:-14000}
management=127.0.0.1:${MANAGEMENT_PORT:-15000}
dns=127.0.0.1:${DNS_PORT:-8053}
dns_management=127.0.0.1:${DNS_MANAGEMENT_PORT:-8055}

umask 077
mkdir -p "$directory"
cd "$directory"
rm -f lets_encrypt.toml root.pem

# The CA of Pebble's own HTTPS, which is not the one that signs orders.
key='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
openssl req -x509 $key -days 30 -subj '/CN=Pebble itself' -keyout ca.key -out ca.pem 2> openssl.log
openssl req -new $key -subj /CN=localhost -keyout server.key -out server.csr 2>> openssl.log
echo 'subjectAltName = DNS:localhost, IP:127.0.0.1' > server.ext
openssl x509 -req -in server.csr -extfile server.ext -days 30 -CA ca.pem -CAkey ca.key \
    -CAcreateserial -out server.pem 2>> openssl.log

cat > pebble.json <<JSON
{"pebble": {
  "listenAddress": "$acme", "managementListenAddress": "$management",
  "certificate": "server.pem", "privateKey": "server.key",
  "httpPort": $http, "tlsPort": $https,
  "ocspResponderURL": "", "externalAccountBindingRequired": false
}}
JSON

pids=
trap 'kill $pids 2> /dev/null || true' EXIT
trap 'exit 0' INT TERM
pebble-challtestsrv -http01 '' -https01 '' -tlsalpn01 '' -dns01 "$dns" \
    -management "$dns_management" -defaultIPv4 127.0.0.1 -defaultIPv6 '' > dns.log 2>&1 &
pids=$!
# Otherwise it waits for some seconds before it checks.
PEBBLE_VA_NOSLEEP=1 pebble -config pebble.json -dnsserver "$dns" > pebble.log 2>&1 &
pids="$pids $!"

until curl --silent --fail --noproxy '*' --cacert ca.pem --output root.new "https://$management/roots/0"; do
    for pid in $pids; do
        kill -0 "$pid" 2> /dev/null || {
            cat dns.log pebble.log >&2
            exit 1
        }
    done
    sleep 0.1
done
mv root.new root.pem

cat > config.new <<TOML
[lets_encrypt]
email = "admin@example.com"
directory_url = "https://$acme/dir"
ca_root = "$PWD/ca.pem"
TOML
mv config.new lets_encrypt.toml
cat lets_encrypt.toml
wait
