-- Run once, when the database is new: the store's is there already, this is Prefect's.
CREATE DATABASE prefect;
