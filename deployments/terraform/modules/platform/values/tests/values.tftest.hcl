variables {
  passwords = { postgres = "p", prefect = "q" }
}

run "minimal_has_its_database_in_the_cluster" {
  command = plan

  assert {
    condition     = output.secrets["store-url"] == "postgresql://qcpaas:p@qcpaas-postgresql:5432/qcpaas"
    error_message = "the store is not where the chart puts it"
  }
  assert {
    condition     = output.chart_values.postgresql.bundled && !output.chart_values.redis.enabled
    error_message = "the minimal level has a database in the cluster, and no Redis"
  }
  assert {
    condition     = output.secrets["postgres-password"] == "p" && !contains(keys(output.secrets), "redis-url")
    error_message = "the chart's keys are not those of the level"
  }
}

run "a_password_with_odd_characters_stays_one" {
  command = plan
  variables {
    level     = "enterprise"
    redis_url = "redis://:r@cache:6379/0"
    database  = { host = "db.example.org", password = "a:b/c@d" }
  }

  assert {
    condition     = output.secrets["prefect-database-url"] == "postgresql+asyncpg://qcpaas:a%3Ab%2Fc%40d@db.example.org:5432/prefect"
    error_message = "the password is not quoted"
  }
  assert {
    condition     = !strcontains(jsonencode(output.chart_values), "a:b") && !strcontains(jsonencode(output.chart_values), ":r@")
    error_message = "a secret is in the chart's values"
  }
}

run "a_release_of_another_name_names_its_database_so" {
  command = plan
  variables {
    name = "lab"
  }

  assert {
    condition     = strcontains(output.secrets["store-url"], "@lab-qcpaas-postgresql:")
    error_message = "the chart calls it lab-qcpaas-postgresql"
  }
}

run "an_image_gets_a_pool_of_its_own" {
  command = plan
  variables {
    pools = { torch = { image = "registry.example.org/torch:1.0", gpus = 1, max_replicas = 3 } }
  }

  assert {
    condition     = output.chart_values.workers.torch.pool == "torch" && output.chart_values.workers.torch.gpus == 1
    error_message = "the pool is not the image's own"
  }
  assert {
    condition     = output.chart_values.workers.torch.autoscaling.maxReplicas == 3 && contains(keys(output.chart_values.workers), "default")
    error_message = "autoscaling, or the platform's own workers, went missing"
  }
}

run "enterprise_without_a_database_is_refused" {
  command = plan
  variables {
    level     = "enterprise"
    redis_url = "redis://cache:6379/0"
  }
  expect_failures = [var.database]
}

run "enterprise_without_redis_is_refused" {
  command = plan
  variables {
    level    = "enterprise"
    database = { host = "db", password = "p" }
  }
  expect_failures = [var.redis_url]
}

run "a_tag_that_moves_is_refused" {
  command = plan
  variables {
    pools = { gpu = { image = "registry.example.org/worker:latest" } }
  }
  expect_failures = [var.pools]
}
