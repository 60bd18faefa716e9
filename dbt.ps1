# LedgerMind's dbt in a container on LedgerMind's own network, as `make` and Docker Compose do it:
#   .\dbt.ps1 debug
#   .\dbt.ps1 build
$ErrorActionPreference = 'Stop'
$compose = Join-Path $PSScriptRoot 'deployments/compose/ledgermind.yml'
docker compose -f $compose run --rm dbt @args
exit $LASTEXITCODE
