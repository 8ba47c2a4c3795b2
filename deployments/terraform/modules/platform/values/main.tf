# What a platform's chart is told, and its Secret: no provider is needed to work that out.

locals {
  secret = "${var.name}-secrets"

  # As the chart names its objects: a release whose name has "qcpaas" in it keeps it.
  base = strcontains(var.name, "qcpaas") ? var.name : "${var.name}-qcpaas"

  bundled  = nonsensitive(var.database == null)
  host     = local.bundled ? "${local.base}-postgresql" : var.database.host
  port     = local.bundled ? 5432 : nonsensitive(var.database.port)
  user     = local.bundled ? "qcpaas" : var.database.user
  password = local.bundled ? var.passwords.postgres : var.database.password
  login    = "${urlencode(local.user)}:${urlencode(local.password)}@${local.host}:${local.port}"

  secrets = merge(
    {
      store-url            = "postgresql://${local.login}/qcpaas"
      prefect-database-url = "postgresql+asyncpg://${local.login}/prefect"
      prefect-auth         = "platform:${var.passwords.prefect}"
    },
    local.bundled ? { postgres-password = var.passwords.postgres } : {},
    nonsensitive(var.redis_url == null) ? {} : { redis-url = var.redis_url },
  )

  workers = merge({ default = {} }, {
    for pool, told in var.pools : pool => merge(
      { image = told.image, pool = pool, replicas = told.replicas, gpus = told.gpus },
      told.max_replicas == 0 ? {} : { autoscaling = { enabled = true, maxReplicas = told.max_replicas } },
    )
  })

  chart_values = {
    existingSecret = local.secret
    image          = var.image
    redis          = { enabled = nonsensitive(var.redis_url != null), bundled = false }
    postgresql = merge(
      { bundled = local.bundled, port = local.port },
      local.bundled ? {} : { cidrs = nonsensitive(var.database.cidrs) },
    )
    workers = local.workers
  }
}
